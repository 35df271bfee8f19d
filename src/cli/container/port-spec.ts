import { NaruError } from "../../base/mod.ts";
import { splitPair } from "./csv.ts";

export interface PortSpecs {
  /** Keys like `80/tcp`. */
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: Record<string, { HostIp: string; HostPort: string }[]>;
}

interface Range {
  readonly first: number;
  readonly last: number;
}

/** All of `-p` and `--expose` together. Throws invalid_argument in docker's words. */
export function parsePorts(publish: readonly string[], expose: readonly string[]): PortSpecs {
  const specs: PortSpecs = { exposed: {}, bindings: {} };
  for (const text of publish) addPublished(specs, text.includes("=") ? shortForm(text) : text);
  for (const text of expose) {
    if (text.includes(":")) {
      throw invalid(`invalid port format for --expose: ${text}`);
    }
    const [ports, protocol] = protocolOf(text);
    const range = parseRange(ports, text);
    for (let port = range.first; port <= range.last; port += 1) {
      specs.exposed[`${port}/${protocol}`] = {};
    }
  }
  return specs;
}

function addPublished(specs: PortSpecs, text: string): void {
  const [address, protocol] = protocolOf(text);
  const match = /^(?:(?:(\[[^\]]*\]|[^:]*):)?([^:]*):)?([^:]*)$/.exec(address);
  if (match === null)
    throw invalid(`invalid publish opts format (should be [ip:]host:container): ${text}`);
  const hostIp = (match[1] ?? "").replace(/^\[|\]$/g, "");
  if (hostIp !== "" && !/^[0-9a-fA-F:.%]+$/.test(hostIp)) {
    throw invalid(`invalid IP address: ${hostIp}`);
  }
  const inside = parseRange(match[3] ?? "", text);
  const hostText = match[2] ?? "";
  const outside = hostText === "" ? undefined : parseRange(hostText, text);
  const insideCount = inside.last - inside.first + 1;
  const outsideCount = outside === undefined ? insideCount : outside.last - outside.first + 1;
  if (outsideCount !== insideCount && insideCount !== 1) {
    throw invalid(
      `invalid ranges specified for container and host Ports: ${match[3]} and ${hostText}`,
    );
  }
  for (let index = 0; index < insideCount; index += 1) {
    const key = `${inside.first + index}/${protocol}`;
    let hostPort = "";
    // One port from a range of the host's: the engine chooses.
    if (outside !== undefined && outsideCount !== insideCount) hostPort = hostText;
    else if (outside !== undefined) hostPort = String(outside.first + index);
    specs.exposed[key] = {};
    specs.bindings[key] ??= [];
    specs.bindings[key].push({ HostIp: hostIp, HostPort: hostPort });
  }
}

/** `published=8080,target=80,protocol=udp` in the short form. */
function shortForm(text: string): string {
  const fields: Record<string, string> = {
    target: "",
    published: "",
    protocol: "tcp",
    mode: "ingress",
  };
  for (const field of text.split(",")) {
    const { key, value } = splitPair(field);
    if (value === undefined || !(key in fields)) throw invalid(`invalid field ${field}`);
    fields[key] = value;
  }
  if (fields["target"] === "") throw invalid(`missing mandatory field 'target' in "${text}"`);
  return `${fields["published"] ?? ""}:${fields["target"]}/${fields["protocol"]}`;
}

function protocolOf(text: string): [string, string] {
  const slash = text.lastIndexOf("/");
  const protocol = slash < 0 ? "tcp" : text.slice(slash + 1).toLowerCase();
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw invalid(`invalid proto: ${protocol}`);
  return [slash < 0 ? text : text.slice(0, slash), protocol];
}

function parseRange(ports: string, text: string): Range {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports);
  if (match === null) {
    if (ports === "") throw invalid(`no port specified: ${text}<empty>`);
    throw invalid(`invalid containerPort: ${ports}`);
  }
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last < first || last > 65_535) throw invalid(`invalid range of ports: ${ports}`);
  return { first, last };
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
