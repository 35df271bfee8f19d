import { NaruError } from "../base/mod.ts";
import type { HostConfig } from "../spec/mod.ts";
import type { ContainerRecord } from "./record.ts";
import type { Room } from "./room.ts";

/** `--link` of the default bridge: another container's names and settings, as they are at a start. */
export interface Link {
  readonly ref: string;
  readonly alias: string;
}

/** `name:alias` or `name`. Throws invalid_argument in Docker's words. */
export function parseLink(text: string): Link {
  const [ref = "", alias = ref.replace(/^\//, ""), ...rest] = text.split(":");
  // An inspect of Docker's shows /name:/self/alias, and clients send that again.
  const last = alias.split("/").at(-1) ?? "";
  if (ref === "" || last === "" || rest.length > 0 || !/^[\w.-]+$/.test(last)) {
    throw new NaruError("invalid_argument", `bad format for links: ${text}`, { field: "Links" });
  }
  return { ref, alias: last };
}

/** What can be known before a start. Throws invalid_argument. */
export function checkLinks(host: HostConfig): void {
  const links = (host.Links ?? []).map(parseLink);
  if (links.length === 0) return;
  const mode = host.NetworkMode.startsWith("container:") ? "container" : host.NetworkMode;
  if (["host", "none", "container"].includes(mode)) {
    throw new NaruError(
      "invalid_argument",
      `conflicting options: ${mode} type networking can't be used with links. This would result in undefined behavior`,
      { field: "Links" },
    );
  }
}

/** Lines of /etc/hosts, as `name:address`, and the variables. */
export interface LinkParts {
  readonly hosts: readonly string[];
  readonly env: readonly string[];
}

/** Throws not_found, and conflict when a linked container does not run. */
export function planLinks(room: Room, record: ContainerRecord): LinkParts {
  // On a user's network the name service answers for them.
  if (room.options.network.parseMode(record.hostConfig.NetworkMode).kind === "named") {
    return { hosts: [], env: [] };
  }
  const hosts: string[] = [];
  const env: string[] = [];
  for (const { ref, alias } of (record.hostConfig.Links ?? []).map(parseLink)) {
    const other = room.table.find(ref);
    const address = other.endpoints[0]?.ipv4Address ?? "";
    if (other.state.kind !== "running" || address === "") {
      const words = `Cannot link to a non running container: /${other.name} AS /${record.name}/${alias}`;
      throw new NaruError("conflict", words, { field: "Links" });
    }
    const names = new Set([alias, other.config.Hostname, other.name]);
    for (const name of names) hosts.push(`${name}:${address}`);
    env.push(...variablesOf(record, other, { alias, address }));
  }
  return { hosts, env };
}

/** @see docs.docker.com, legacy container links: the variables that Docker sets */
function variablesOf(
  record: ContainerRecord,
  other: ContainerRecord,
  link: { readonly alias: string; readonly address: string },
): string[] {
  const { alias, address } = link;
  const prefix = alias.replaceAll("-", "_").toUpperCase();
  const ports = Object.keys(other.config.ExposedPorts ?? {})
    .map((port) => port.split("/") as [string, string?])
    .map(([port, protocol = "tcp"]) => ({ port, protocol }))
    .toSorted((a, b) => Number(a.port) - Number(b.port));
  const [first] = ports;
  const urlOf = (one: { port: string; protocol: string }): string =>
    `${one.protocol}://${address}:${one.port}`;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${urlOf(first)}`]),
    ...ports.flatMap((one) => {
      const name = `${prefix}_PORT_${one.port}_${one.protocol.toUpperCase()}`;
      return [
        `${name}=${urlOf(one)}`,
        `${name}_ADDR=${address}`,
        `${name}_PORT=${one.port}`,
        `${name}_PROTO=${one.protocol}`,
      ];
    }),
    `${prefix}_NAME=/${record.name}/${alias}`,
    ...(other.config.Env ?? [])
      .filter((variable) => variable.includes("=") && !/^(HOME|PATH)=/.test(variable))
      .map((variable) => `${prefix}_ENV_${variable}`),
  ];
}
