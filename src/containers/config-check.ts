import { NaruError } from "../base/mod.ts";
import { parseSignal } from "../runtime/mod.ts";
import type { ContainerConfig, HealthConfig } from "../spec/mod.ts";

const HEALTH_NS_MIN = 1_000_000; // 1 ms, Docker's least
const HOSTNAME_BYTES_MAX = 63; // a label of the domain name system; the kernel takes 64
const DOMAIN_BYTES_MAX = 64; // __NEW_UTS_LEN: the kernel takes no longer one
const MAC = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i;

function invalid(message: string, field: string): NaruError {
  return new NaruError("invalid_argument", message, { field });
}

/** Throws invalid_argument naming the field. `config` is already merged with the image's. */
export function checkConfig(config: ContainerConfig): void {
  if (config.WorkingDir !== "" && !config.WorkingDir.startsWith("/")) {
    throw invalid(
      `the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`,
      "WorkingDir",
    );
  }
  for (const variable of config.Env ?? []) checkVariable(variable);
  if (config.StopSignal !== undefined && config.StopSignal !== "") parseSignal(config.StopSignal);
  if (Buffer.byteLength(config.Hostname) > HOSTNAME_BYTES_MAX || /[\s/\0]/.test(config.Hostname)) {
    throw invalid(`invalid hostname: ${config.Hostname}`, "Hostname");
  }
  // It becomes a line of /etc/hosts, as the host name does.
  if (
    Buffer.byteLength(config.Domainname) > DOMAIN_BYTES_MAX ||
    /[\s/\0]/.test(config.Domainname)
  ) {
    throw invalid(`invalid domainname: ${config.Domainname}`, "Domainname");
  }
  if (config.User.includes("\0")) throw invalid("User: contains a zero byte", "User");
  if (!["", undefined].includes(config.MacAddress) && !MAC.test(config.MacAddress ?? "")) {
    throw invalid(`invalid MacAddress: ${config.MacAddress}`, "MacAddress");
  }
  for (const port of Object.keys(config.ExposedPorts ?? {})) checkPort(port);
  for (const text of [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]) {
    if (text.includes("\0")) throw invalid("the command contains a zero byte", "Cmd");
  }
  if (config.Healthcheck !== undefined && config.Healthcheck !== null) {
    checkHealth(config.Healthcheck);
  }
}

export function checkVariable(variable: string): void {
  if (variable === "" || variable.startsWith("=") || variable.includes("\0")) {
    throw invalid(`invalid environment variable: ${variable}`, "Env");
  }
}

function checkPort(port: string): void {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(port);
  const last = Number(match?.[2] ?? match?.[1] ?? "0");
  if (match === null || last > 65535) throw invalid(`invalid port: ${port}`, "ExposedPorts");
}

function checkHealth(health: HealthConfig): void {
  const durations = ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const;
  for (const field of durations) {
    const ns = health[field] ?? 0;
    if (ns !== 0 && ns < HEALTH_NS_MIN) {
      throw invalid(`${field} in Healthcheck cannot be less than 1ms`, `Healthcheck.${field}`);
    }
  }
  if ((health.Retries ?? 0) < 0) {
    throw invalid("Retries in Healthcheck cannot be negative", "Healthcheck.Retries");
  }
  const [kind, ...rest] = health.Test ?? [];
  const known = kind === undefined || ["", "NONE", "CMD", "CMD-SHELL"].includes(kind);
  const needsWords = kind === "CMD" || kind === "CMD-SHELL";
  if (!known || (needsWords && rest.length === 0)) {
    throw invalid(`invalid health check test: ${JSON.stringify(health.Test)}`, "Healthcheck.Test");
  }
}
