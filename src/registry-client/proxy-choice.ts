import { BlockList, isIP } from "node:net";
import { NaruError } from "../base/mod.ts";
import { isLoopbackName } from "./address-guard.ts";
import type { ProxySettings } from "./contract.ts";

/**
 * The proxy for `url`, or undefined. The rules of Go's httpproxy, which dockerd follows: loopback
 * is never proxied; no-proxy holds `*`, host names (and what is below them), `.suffix`, addresses
 * and CIDR blocks, each perhaps with a port.
 */
export function proxyFor(url: URL, settings: ProxySettings): URL | undefined {
  const text = url.protocol === "https:" ? settings.httpsProxy : settings.httpProxy;
  if (text === "") return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (isLoopbackName(host)) return undefined;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (settings.noProxy.split(",").some((entry) => excludes(entry.trim(), host, port))) {
    return undefined;
  }
  return parseProxy(text);
}

/** Throws invalid_argument: only proxies over HTTP and HTTPS are spoken to. */
export function parseProxy(text: string): URL {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.hostname === "") {
    throw new NaruError("invalid_argument", "the proxy is not a URL"); // it may hold a password
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    const scheme = url.protocol.slice(0, -1);
    throw new NaruError("invalid_argument", `the proxy is ${scheme}; naru speaks http and https`);
  }
  return url;
}

function excludes(entry: string, host: string, port: string): boolean {
  if (entry === "") return false;
  if (entry === "*") return true;
  const slash = entry.indexOf("/");
  if (slash > 0) return inBlock(host, entry.slice(0, slash), Number(entry.slice(slash + 1)));
  const { name, portWanted } = splitPort(entry.toLowerCase());
  if (portWanted !== undefined && portWanted !== port) return false;
  const bare = name.replace(/^\*(?=\.)/, "");
  if (bare.startsWith(".")) return host.endsWith(bare);
  return host === bare || (isIP(bare) === 0 && host.endsWith(`.${bare}`));
}

function splitPort(entry: string): { name: string; portWanted: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry);
  if (bracketed !== null) return { name: bracketed[1] ?? "", portWanted: bracketed[2] };
  if (isIP(entry) === 6) return { name: entry, portWanted: undefined };
  const match = /^(.*?)(?::(\d+))?$/.exec(entry);
  return { name: match?.[1] ?? "", portWanted: match?.[2] };
}

/** Is the literal address `host` in the block? False when either is malformed. */
export function inBlock(host: string, network: string, prefix: number): boolean {
  const family = isIP(host);
  if (family === 0 || family !== isIP(network)) return false;
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  const name = family === 6 ? "ipv6" : "ipv4";
  list.addSubnet(network, prefix, name);
  return list.check(host, name);
}
