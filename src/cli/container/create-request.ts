import { NaruError } from "../../base/mod.ts";
import type { ContainerCreateBody, HealthConfig } from "../../spec/mod.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { type Environment, readEnvironment, readLabels } from "./client-files.ts";
import { hostConfigOf, splitVolumes } from "./host-config.ts";
import { parseNetworks } from "./network-spec.ts";
import { parsePorts } from "./port-spec.ts";
import { parseDuration } from "./quantity.ts";

export interface CreateRequest {
  readonly name: string;
  readonly platform: string;
  readonly body: ContainerCreateBody;
}

export interface CreateSurroundings {
  readonly environment: Environment;
  /** Rows and columns of the terminal; zeros without one. */
  readonly consoleSize: [number, number];
  readonly detach: boolean;
}

/**
 * The create request of a parsed `create` or `run` line: the body that docker's own client sends
 * (`test/golden/cli` compares). Reads the files that flags name. Throws invalid_argument.
 */
export function createRequestOf(
  values: FlagValues,
  args: readonly string[],
  surroundings: CreateSurroundings,
): CreateRequest {
  const [image = "", ...command] = args;
  const networks = parseNetworks(values);
  const ports = parsePorts(values.list("publish"), values.list("expose"));
  const { anonymous } = splitVolumes(values.list("volume"));
  const attach = attachedStreams(values, surroundings.detach);
  const openStdin = values.bool("interactive");
  const environment = surroundings.environment;
  const env = readEnvironment(values.list("env-file"), values.list("env"), environment);
  const exposed = Object.keys(ports.exposed).length > 0;
  const body = {
    Hostname: values.string("hostname"),
    Domainname: values.string("domainname"),
    User: values.string("user"),
    AttachStdin: attach.stdin,
    AttachStdout: attach.stdout,
    AttachStderr: attach.stderr,
    ...(exposed ? { ExposedPorts: ports.exposed } : {}),
    Tty: values.bool("tty"),
    OpenStdin: openStdin,
    StdinOnce: openStdin && attach.stdin,
    Env: env.length > 0 ? env : null,
    Cmd: command.length > 0 ? command : null,
    ...healthOf(values),
    Image: image,
    Volumes: Object.fromEntries(anonymous.map((path) => [path, {}])),
    WorkingDir: values.string("workdir"),
    Entrypoint: values.has("entrypoint") ? [values.string("entrypoint")] : null,
    OnBuild: null,
    Labels: readLabels(values.list("label-file"), values.list("label"), environment),
    ...(values.has("stop-signal") ? { StopSignal: values.string("stop-signal") } : {}),
    ...(values.has("stop-timeout") ? { StopTimeout: values.int("stop-timeout") } : {}),
    HostConfig: hostConfigOf(values, {
      networks,
      ports,
      consoleSize: values.bool("tty") ? surroundings.consoleSize : [0, 0],
    }),
    NetworkingConfig: { EndpointsConfig: networks.endpoints },
  } as ContainerCreateBody;
  return {
    name: values.string("name"),
    platform: values.string("platform") || (environment["DOCKER_DEFAULT_PLATFORM"] ?? ""),
    body,
  };
}

function attachedStreams(
  values: FlagValues,
  detach: boolean,
): { stdin: boolean; stdout: boolean; stderr: boolean } {
  const named = values.list("attach").map((name) => name.toLowerCase());
  for (const name of named) {
    if (name !== "stdin" && name !== "stdout" && name !== "stderr") {
      throw new NaruError(
        "invalid_argument",
        `invalid argument "${name}" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR`,
      );
    }
  }
  if (detach) {
    if (named.length > 0) {
      throw new NaruError(
        "invalid_argument",
        "conflicting options: cannot specify both --attach and --detach",
      );
    }
    return { stdin: false, stdout: false, stderr: false };
  }
  if (named.length > 0) {
    const [stdin, stdout, stderr] = ["stdin", "stdout", "stderr"].map((name) =>
      named.includes(name),
    );
    return { stdin: stdin === true, stdout: stdout === true, stderr: stderr === true };
  }
  return { stdin: values.bool("interactive"), stdout: true, stderr: true };
}

function healthOf(values: FlagValues): { Healthcheck?: HealthConfig } {
  const durations = ["interval", "timeout", "start-period", "start-interval"];
  const given = [...durations, "cmd", "retries"].some((name) => values.has(`health-${name}`));
  if (values.bool("no-healthcheck")) {
    if (given) {
      throw new NaruError(
        "invalid_argument",
        "conflicting options: --no-healthcheck conflicts with --health-* options",
      );
    }
    return { Healthcheck: { Test: ["NONE"] } };
  }
  if (!given) return {};
  const duration = (name: string): number => {
    const text = values.string(`health-${name}`);
    const ns = text === "" ? 0 : parseDuration(text);
    if (ns < 0) throw new NaruError("invalid_argument", `--health-${name} cannot be negative`);
    return ns;
  };
  const health: Record<string, unknown> = {
    Test: values.has("health-cmd") ? ["CMD-SHELL", values.string("health-cmd")] : null,
    Interval: duration("interval"),
    Timeout: duration("timeout"),
    StartPeriod: duration("start-period"),
    StartInterval: duration("start-interval"),
    Retries: values.int("health-retries"),
  };
  const set = Object.entries(health).filter(([, value]) => value !== 0 && value !== null);
  return { Healthcheck: Object.fromEntries(set) as HealthConfig };
}
