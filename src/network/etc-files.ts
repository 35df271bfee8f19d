import { isIP } from "node:net";
import { NaruError } from "../base/mod.ts";
import type { EtcFiles, EtcFilesRequest } from "./contract.ts";
import { parseResolvConf } from "./resolv-conf.ts";

/** What of the host and the engine goes into the files. */
export interface EtcSources {
  readonly hostHosts: string;
  readonly hostResolvConf: string;
  /** The engine's own settings, where a container has none. */
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** What `host-gateway` stands for; none: it is refused. */
  readonly hostGateways: readonly string[];
}

/** As Docker writes them: tools compare. */
const HOSTS_HEAD = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/** Docker's choice when the host names only servers that a container cannot reach. */
const FALLBACK_SERVERS: readonly string[] = ["8.8.8.8", "8.8.4.4"];

/** Where `netd` answers inside each container of a user's network: people hard-code it. */
const NAME_SERVICE = "127.0.0.11";

/** The contents of /etc/hosts, /etc/hostname and /etc/resolv.conf. Throws invalid_argument. */
export function renderEtcFiles(request: EtcFilesRequest, sources: EtcSources): EtcFiles {
  return {
    hosts: renderHosts(request, sources),
    hostname: `${request.hostname}\n`,
    resolvConf: renderResolvConf(request, sources),
  };
}

function renderHosts(request: EtcFilesRequest, sources: EtcSources): string {
  const shared = request.mode.kind === "host";
  const head = shared ? withNewline(sources.hostHosts) : HOSTS_HEAD;
  const extra = request.extraHosts.map((entry) => renderExtraHost(entry, sources.hostGateways));
  const addresses = request.endpoints
    .flatMap(({ ipv4Address, ipv6Address = "" }) => [ipv4Address, ipv6Address])
    .filter((address) => address !== "");
  const { hostname, domainname } = request;
  const names = domainname === "" ? hostname : `${hostname}.${domainname} ${hostname}`;
  const own = shared ? [] : addresses.map((address) => `${address}\t${names}\n`);
  return head + extra.join("") + own.join("");
}

/** Of `--add-host`. Throws invalid_argument in Docker's words. `address` may be `host-gateway`. */
export function parseExtraHost(entry: string): { readonly name: string; readonly address: string } {
  // `name:address`, where an IPv6 address has colons itself; `name=address` is the newer form.
  const separator = entry.search(/[:=]/);
  const name = entry.slice(0, separator);
  const text = entry.slice(separator + 1);
  if (separator <= 0 || text === "" || /\s/.test(name)) {
    throw new NaruError("invalid_argument", `bad format for add-host: "${entry}"`);
  }
  const address = text.replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && isIP(address) === 0) {
    throw new NaruError("invalid_argument", `invalid IP address in add-host: "${text}"`);
  }
  return { name, address };
}

function renderExtraHost(entry: string, hostGateways: readonly string[]): string {
  const { name, address } = parseExtraHost(entry);
  if (address !== "host-gateway") return `${address}\t${name}\n`;
  if (hostGateways.length === 0) {
    const reason = "unable to derive the IP value for host-gateway: the engine has no bridge";
    throw new NaruError("invalid_argument", reason, { extraHost: entry });
  }
  return hostGateways.map((gateway) => `${gateway}\t${name}\n`).join("");
}

function renderResolvConf(request: EtcFilesRequest, sources: EtcSources): string {
  const host = parseResolvConf(sources.hostResolvConf);
  const wanted = {
    servers: firstGiven(request.dns, sources.dns),
    search: firstGiven(request.dnsSearch, sources.dnsSearch),
    options: firstGiven(request.dnsOptions, sources.dnsOptions),
  };
  checkServers(wanted.servers ?? []);
  checkWords([...(wanted.search ?? []), ...(wanted.options ?? [])]);
  const usable =
    request.mode.kind === "host" ? host.servers : host.servers.filter(reachableFromContainer);
  const outside = wanted.servers ?? (usable.length > 0 ? usable : FALLBACK_SERVERS);
  const named = request.endpoints.some(({ dnsNames = [] }) => dnsNames.length > 0);
  const servers = named ? [NAME_SERVICE] : outside;
  const search = (wanted.search ?? host.search).filter((domain) => domain !== ".");
  const given = wanted.options ?? host.options;
  // Short names are the containers': they are asked for as they are first.
  const ndots = named && !given.some((option) => option.startsWith("ndots:")) ? ["ndots:0"] : [];
  const options = [...given, ...ndots];
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/** What of a request's name servers can be judged before there is a container. Throws invalid_argument. */
export function checkDnsSettings(
  settings: Pick<EtcFilesRequest, "dns" | "dnsSearch" | "dnsOptions">,
): void {
  checkServers(settings.dns);
  checkWords([...settings.dnsSearch, ...settings.dnsOptions]);
}

function checkServers(servers: readonly string[]): void {
  const bad = servers.find((server) => isIP(server) === 0);
  if (bad === undefined) return;
  throw new NaruError("invalid_argument", `ParseAddr("${bad}"): unable to parse IP`);
}

/** Space in a word would make words or lines of their own. */
function checkWords(words: readonly string[]): void {
  const bad = words.find((word) => /\s/.test(word));
  if (bad !== undefined) throw new NaruError("invalid_argument", `invalid DNS setting "${bad}"`);
}

function firstGiven(...lists: readonly (readonly string[])[]): readonly string[] | undefined {
  return lists.find((list) => list.length > 0);
}

/** A server on the host's loopback is another loopback inside; and containers have no IPv6 here. */
function reachableFromContainer(server: string): boolean {
  return isIP(server) === 4 && !server.startsWith("127.");
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
