import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { type Clock, NaruError, SECOND_MS } from "../base/mod.ts";
import { isLoopbackName } from "./address-guard.ts";
import type { RegistryHosts } from "./contract.ts";
import type { Endpoint, TlsMaterial } from "./endpoint.ts";
import { readDockerCerts } from "./host-certificates.ts";
import { type HostsToml, readHostsToml, type TomlHost, v2Path } from "./hosts-toml.ts";
import { inBlock, proxyFor } from "./proxy-choice.ts";
import { PUBLIC_TLS } from "./tls-options.ts";
import { hostOf, portOf } from "./url-parts.ts";

const DOCKER_HUB = "docker.io";
const DOCKER_HUB_HOST = "registry-1.docker.io";
const KEEP_MS = 2 * SECOND_MS; // changes of certs.d show within this, without a reload
const SCHEME_KEEP_MS = 300 * SECOND_MS;
const PROBE_MS = 5 * SECOND_MS; // a TLS greeting on a local network takes milliseconds
const HOSTS_MAX = 1000;

/** Where the repositories of a registry host are, from configuration and folders. */
export class HostDirectory {
  readonly #hosts: () => RegistryHosts;
  readonly #clock: Clock;
  readonly #endpoints: Map<string, { list: readonly Endpoint[]; untilMs: number }> = new Map();
  readonly #schemes: Map<string, { scheme: "http" | "https"; untilMs: number }> = new Map();

  constructor(hosts: () => RegistryHosts, clock: Clock) {
    this.#hosts = hosts;
    this.#clock = clock;
  }

  /**
   * Mirrors in order, then the registry itself. Throws unavailable when the engine is offline,
   * invalid_argument for what is wrong in a host's folder.
   */
  async endpointsOf(domain: string): Promise<readonly Endpoint[]> {
    const nowMs = this.#clock.nowMs();
    const config = this.#hosts();
    const key = JSON.stringify([domain, config.offline, config.insecure, [...config.mirrors]]);
    const known = this.#endpoints.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.list;
    const list = await this.#build(domain, config);
    if (this.#endpoints.size >= HOSTS_MAX) this.#endpoints.clear();
    this.#endpoints.set(key, { list, untilMs: nowMs + KEEP_MS });
    return list;
  }

  async #build(domain: string, config: RegistryHosts): Promise<readonly Endpoint[]> {
    const toml = await this.#toml(domain, config);
    const configured = config.mirrors.get(domain) ?? config.mirrors.get("*") ?? [];
    const mirrors = isLoopbackName(hostOf(new URL(`http://${domain}`)))
      ? (config.mirrors.get(domain) ?? [])
      : configured;
    const all: Endpoint[] = [];
    for (const mirror of mirrors) all.push(await this.#mirror(mirror, domain, config));
    for (const host of toml?.hosts ?? []) all.push(fromToml(host, domain));
    const server = toml?.server;
    all.push(
      server === undefined ? await this.#upstream(domain, config) : fromToml(server, domain),
    );
    if (!config.offline) return all;
    const local = all.filter(({ origin }) => isLoopbackName(hostOf(new URL(origin))));
    if (local.length > 0) return local;
    throw new NaruError(
      "unavailable",
      `naru is offline (option offline): it does not ask ${domain}`,
      { domain, lasting: true },
    );
  }

  async #upstream(domain: string, config: RegistryHosts): Promise<Endpoint> {
    const authority = upstreamHost(domain);
    return {
      origin: await this.#origin(authority, config),
      basePath: "/v2",
      tls: await this.#tls(domain, config),
      headers: {},
      mirrorOf: undefined,
      trusted: true,
      canPull: true,
      canResolve: true,
      canPush: true,
    };
  }

  async #mirror(text: string, domain: string, config: RegistryHosts): Promise<Endpoint> {
    const url = new URL(text);
    return {
      origin: url.origin,
      basePath: v2Path(url.pathname),
      tls: await this.#tls(url.host, config),
      headers: {},
      mirrorOf: domain,
      trusted: url.host === upstreamHost(domain),
      canPull: true,
      canResolve: true,
      canPush: false,
    };
  }

  /** How any host is reached over TLS: its folder, and whether it is insecure. */
  async tlsOf(url: URL): Promise<TlsMaterial> {
    return this.#tls(url.host, this.#hosts());
  }

  proxyOf(url: URL): URL | undefined {
    return proxyFor(url, this.#hosts().proxies);
  }

  /** Did the user name this host himself? Then registries may send the engine there. */
  isConfigured(url: URL): boolean {
    const { mirrors, insecure } = this.#hosts();
    if (insecure.some((entry) => entry === url.host || entry === url.hostname)) return true;
    return [...mirrors.values()].flat().some((mirror) => new URL(mirror).origin === url.origin);
  }

  async #tls(authority: string, config: RegistryHosts): Promise<TlsMaterial> {
    const verify = !(await isInsecure(authority, config.insecure));
    for (const folder of folders(authority, config)) {
      const found = await readDockerCerts(folder);
      if (found !== undefined) return { ...found, verify };
    }
    return { ...PUBLIC_TLS, verify };
  }

  async #toml(domain: string, config: RegistryHosts): Promise<HostsToml | undefined> {
    const names = [
      ...folders(domain, config),
      ...config.certsDirs.map((dir) => join(dir, "_default")),
    ];
    for (const folder of names) {
      const found = await readHostsToml(folder);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Insecure hosts speak TLS or do not: they are asked once. */
  async #origin(authority: string, config: RegistryHosts): Promise<string> {
    if (!(await isInsecure(authority, config.insecure))) return `https://${authority}`;
    const nowMs = this.#clock.nowMs();
    const known = this.#schemes.get(authority);
    if (known !== undefined && known.untilMs > nowMs) return `${known.scheme}://${authority}`;
    const { scheme, sure } = await this.#probe(authority, config);
    if (this.#schemes.size >= HOSTS_MAX) this.#schemes.clear();
    if (sure) this.#schemes.set(authority, { scheme, untilMs: nowMs + SCHEME_KEEP_MS });
    return `${scheme}://${authority}`;
  }

  #probe(
    authority: string,
    config: RegistryHosts,
  ): Promise<{ scheme: "http" | "https"; sure: boolean }> {
    const url = new URL(`https://${authority}`);
    // Through a proxy nobody can look; what insecure registries behind one speak is plain HTTP.
    if (proxyFor(url, config.proxies) !== undefined) {
      return Promise.resolve({ scheme: "http", sure: false });
    }
    return new Promise((resolve) => {
      const socket = tls.connect({
        host: hostOf(url),
        port: hasPort(authority) ? portOf(url) : 443,
        rejectUnauthorized: false,
        ...(isIP(hostOf(url)) === 0 ? { servername: hostOf(url) } : {}),
      });
      const settle = (scheme: "http" | "https", sure: boolean): void => {
        cancel();
        socket.destroy();
        resolve({ scheme, sure });
      };
      const cancel = this.#clock.after(PROBE_MS, () => settle("https", false));
      socket.on("secureConnect", () => settle("https", true));
      socket.on("error", (error: NodeJS.ErrnoException) => {
        const code = error.code ?? "";
        // The peer asked for a certificate of ours, or closed: it did speak TLS.
        if (code.startsWith("ERR_SSL_") && code !== "ERR_SSL_WRONG_VERSION_NUMBER") {
          settle("https", true);
        } else settle("http", code === "ERR_SSL_WRONG_VERSION_NUMBER");
      });
      socket.on("close", () => settle("http", false));
    });
  }
}

export function upstreamHost(domain: string): string {
  return domain === DOCKER_HUB ? DOCKER_HUB_HOST : domain;
}

function hasPort(authority: string): boolean {
  return /:\d+$/.test(authority.replace(/^\[.*\]/, ""));
}

/** dockerd's rule: names with or without port, CIDR blocks for their addresses; loopback always. */
async function isInsecure(authority: string, entries: readonly string[]): Promise<boolean> {
  const host = hostOf(new URL(`http://${authority}`)).toLowerCase();
  if (isLoopbackName(host)) return true;
  const [blocks, names] = [entries.filter(isBlock), entries.filter((entry) => !isBlock(entry))];
  if (names.some((name) => [host, authority.toLowerCase()].includes(name.toLowerCase()))) {
    return true;
  }
  if (blocks.length === 0) return false;
  const addresses = isIP(host) === 0 ? await addressesOf(host) : [host];
  return blocks.some((block) => {
    const [network = "", prefix = ""] = block.split("/");
    return addresses.some((address) => inBlock(address, network, Number(prefix)));
  });
}

function isBlock(entry: string): boolean {
  return entry.includes("/");
}

/** None when the name cannot be resolved: connecting will say why. */
async function addressesOf(host: string): Promise<readonly string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}

function folders(authority: string, config: RegistryHosts): readonly string[] {
  if (!/^[\w[][\w.:[\]-]*$/.test(authority)) return []; // a hostile redirect's host is no path
  // containerd writes `host_5000_` where a colon cannot be in a file name.
  const names = [authority, authority.replace(/:(\d+)$/, "_$1_")];
  return config.certsDirs.flatMap((dir) => [...new Set(names)].map((name) => join(dir, name)));
}

function fromToml(host: TomlHost, domain: string): Endpoint {
  const { url, basePath, tls: material, headers, canPull, canResolve, canPush } = host;
  const own = url.host === upstreamHost(domain);
  return {
    origin: url.origin,
    basePath,
    tls: material,
    headers,
    mirrorOf: own ? undefined : domain,
    trusted: own,
    ...{ canPull, canResolve, canPush },
  };
}
