import { NaruError } from "../../base/mod.ts";
import type { Command } from "../command.ts";
import { drawTable } from "../output/table.ts";

export const topCommand: Command = {
  path: "top",
  usage: "CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container",
  flags: [],
  minArgs: 1,
  stopAtArgument: true,
  async run({ context, args: [name = "", ...psOptions] }) {
    const engine = await context.engine();
    const { Titles, Processes } = await engine.containers.top(name, psOptions.join(" "));
    const { stdout } = context.io;
    stdout.print(drawTable([Titles, ...Processes], { columns: stdout.columns() }));
    return 0;
  },
};

export const portCommand: Command = {
  path: "port",
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "List port mappings or a specific mapping for the container",
  flags: [],
  minArgs: 1,
  maxArgs: 2,
  async run({ context, args: [name = "", asked] }) {
    const engine = await context.engine();
    const found = await engine.containers.inspect(name);
    const ports = found.NetworkSettings.Ports ?? {};
    const line = ({ HostIp, HostPort }: { HostIp: string; HostPort: string }): string =>
      `${HostIp.includes(":") ? `[${HostIp}]` : HostIp}:${HostPort}`;
    const lines: string[] = [];
    if (asked !== undefined) {
      const key = asked.includes("/") ? asked : `${asked}/tcp`;
      const bindings = ports[key] ?? [];
      if (bindings.length === 0) {
        throw new NaruError("not_found", `no public port '${asked}' published for ${name}`);
      }
      lines.push(...bindings.map(line));
    } else {
      for (const [key, bindings] of Object.entries(ports)) {
        lines.push(...(bindings ?? []).map((binding) => `${key} -> ${line(binding)}`));
      }
      lines.sort();
    }
    context.io.stdout.print(lines.map((text) => `${text}\n`).join(""));
    return 0;
  },
};
