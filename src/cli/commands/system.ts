import type { VersionAnswer } from "../../sdk/mod.ts";
import type { Command } from "../command.ts";
import { failureLine } from "../explain.ts";
import { text } from "../flags/flag.ts";
import { formatBinarySize } from "../output/human.ts";
import { compileTemplate } from "../template/evaluate.ts";
import { printed } from "../template/printf.ts";
import { NARU_VERSION } from "./version-line.ts";

const CLIENT_API_VERSION = "1.56";

export const versionCommand: Command = {
  path: "version",
  usage: "",
  summary: "Show the version information",
  flags: [text("format", "f", "Format output: 'json' or a Go template")],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const { io } = context;
    let server: VersionAnswer | undefined;
    let failure: unknown;
    let apiVersion = CLIENT_API_VERSION;
    try {
      const engine = await context.engine();
      server = await engine.system.version();
      apiVersion = await engine.apiVersion();
    } catch (error) {
      failure = error;
    }
    const client = {
      Version: NARU_VERSION,
      ApiVersion: apiVersion,
      DefaultAPIVersion: CLIENT_API_VERSION,
      Runtime: `bun ${Bun.version}`,
      Os: "linux",
      Arch: process.arch === "x64" ? "amd64" : process.arch,
      Context: "default",
    };
    const format = values.string("format");
    const data = { Client: client, Server: server ?? null };
    if (format !== "") {
      const source = format === "json" ? "{{json .}}" : format;
      io.stdout.print(`${compileTemplate(source).apply(data)}\n`);
    } else io.stdout.print(versionText(client, server));
    if (failure === undefined) return 0;
    io.stderr.print(`${failureLine(failure, context.program)}\n`);
    return 1;
  },
};

function versionText(client: Record<string, string>, server: VersionAnswer | undefined): string {
  const line = (name: string, value: unknown): string =>
    ` ${`${name}:`.padEnd(19)}${String(value)}\n`;
  let out = `Client: naru\n${line("Version", client["Version"])}${line("API version", client["ApiVersion"])}`;
  out += `${line("Runtime", client["Runtime"])}${line("OS/Arch", `${client["Os"]}/${client["Arch"]}`)}`;
  if (server === undefined) return out;
  const platform = server["Platform"] as { Name?: string } | undefined;
  out += `\nServer: ${platform?.Name ?? ""}\n Engine:\n`;
  const minimum = server.MinAPIVersion ?? "";
  for (const [name, value] of [
    ["Version", server.Version],
    ["API version", `${server.ApiVersion} (minimum version ${minimum})`],
    ["Git commit", server["GitCommit"]],
    ["Built", server["BuildTime"]],
    ["OS/Arch", `${String(server["Os"])}/${String(server["Arch"])}`],
    ["Kernel", server["KernelVersion"]],
  ] as const) {
    if (value !== undefined && value !== "") out += ` ${line(name, value)}`;
  }
  for (const { Name, Version } of server.Components ?? []) {
    if (Name !== "Engine") out += ` ${Name}:\n ${line("Version", Version)}`;
  }
  return out;
}

export const infoCommand: Command = {
  path: "info",
  usage: "",
  summary: "Display system-wide information",
  flags: [text("format", "f", "Format output: 'json' or a Go template")],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const engine = await context.engine();
    const info = await engine.system.info();
    const format = values.string("format");
    const { stdout } = context.io;
    if (format !== "") {
      stdout.print(`${compileTemplate(format === "json" ? "{{json .}}" : format).apply(info)}\n`);
      return 0;
    }
    stdout.print(infoText(info));
    return 0;
  },
};

function infoText(info: Record<string, unknown>): string {
  const lines: string[] = ["Client: naru", ` Version:    ${NARU_VERSION}`, "", "Server:"];
  const add = (name: string, value: unknown, indent = 1): void => {
    if (value !== undefined && value !== null && value !== "") {
      lines.push(`${" ".repeat(indent)}${name}: ${printed(value)}`);
    }
  };
  add("Containers", info["Containers"]);
  add("Running", info["ContainersRunning"], 2);
  add("Paused", info["ContainersPaused"], 2);
  add("Stopped", info["ContainersStopped"], 2);
  add("Images", info["Images"]);
  add("Server Version", info["ServerVersion"]);
  add("Storage Driver", info["Driver"]);
  for (const [name, value] of (info["DriverStatus"] as [string, string][] | null) ?? []) {
    add(name, value, 2);
  }
  add("Logging Driver", info["LoggingDriver"]);
  add("Cgroup Driver", info["CgroupDriver"]);
  add("Cgroup Version", info["CgroupVersion"]);
  add("Runtimes", Object.keys((info["Runtimes"] as object | null) ?? {}).join(" "));
  add("Default Runtime", info["DefaultRuntime"]);
  const security = (info["SecurityOptions"] as string[] | null) ?? [];
  add("Security Options", security.map((option) => option.replace(/^name=/, "")).join(" "));
  add("Kernel Version", info["KernelVersion"]);
  add("Operating System", info["OperatingSystem"]);
  add("OSType", info["OSType"]);
  add("Architecture", info["Architecture"]);
  add("CPUs", info["NCPU"]);
  add("Total Memory", formatBinarySize(Number(info["MemTotal"] ?? 0)));
  add("Name", info["Name"]);
  add("ID", info["ID"]);
  add("Docker Root Dir", info["DockerRootDir"]);
  add("Debug Mode", info["Debug"]);
  const labels = (info["Labels"] as string[] | null) ?? [];
  if (labels.length > 0) lines.push(" Labels:", ...labels.map((label) => `  ${label}`));
  add("Live Restore Enabled", info["LiveRestoreEnabled"]);
  for (const warning of (info["Warnings"] as string[] | null) ?? []) lines.push(warning);
  return `${lines.join("\n")}\n`;
}
