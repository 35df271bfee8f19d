import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { NaruError } from "../base/mod.ts";
import type { RegistryConfig } from "./daemon-config.ts";
import type { Values } from "./option-values.ts";

const DOCKER_HUB = "docker.io";
const DOWNLOADS = 3; // the numbers are dockerd's defaults
const UPLOADS = 5;
const ATTEMPTS = 5;
const CONCURRENT_MAX = 64; // registries cut off who opens more connections than that
const ATTEMPTS_MAX = 100; // back-off makes hours of it

/** The part of the configuration that says how registries are reached. Throws invalid_argument. */
export function registriesOf(values: Values): RegistryConfig {
  const concurrent = { min: 1, max: CONCURRENT_MAX };
  return {
    mirrors: mirrorsOf(values),
    insecure: values.list("insecure-registries").map(checkInsecure),
    certsDirs: values.list("registry-certs-dirs").map(checkFolder),
    ...proxiesOf(values),
    serve: values.list("registry"),
    offline: values.flag("offline"),
    downloadsMax: values.whole("max-concurrent-downloads", DOWNLOADS, concurrent),
    uploadsMax: values.whole("max-concurrent-uploads", UPLOADS, concurrent),
    attemptsMax: values.whole("max-download-attempts", ATTEMPTS, { min: 1, max: ATTEMPTS_MAX }),
  };
}

/** `registry-mirrors` are those of Docker Hub, and come before what `mirrors` says of it. */
function mirrorsOf(values: Values): ReadonlyMap<string, readonly string[]> {
  const mirrors = new Map<string, string[]>();
  const add = (host: string, url: string): void => {
    mirrors.set(host, [...new Set([...(mirrors.get(host) ?? []), url])]);
  };
  for (const url of values.list("registry-mirrors")) {
    add(DOCKER_HUB, checkMirror("registry-mirrors", url));
  }
  for (const [host, value] of values.entries("mirrors")) {
    const urls = Array.isArray(value) ? value.map(String) : [String(value)];
    for (const url of urls) add(checkMirrored(host), checkMirror("mirrors", url));
  }
  return mirrors;
}

function checkMirrored(text: string): string {
  if (text === "*") return text;
  const host = text.toLowerCase();
  if (["index.docker.io", "registry-1.docker.io"].includes(host)) return DOCKER_HUB;
  if (isAuthority(host)) return host;
  throw new NaruError(
    "invalid_argument",
    `mirrors: want a registry's host, host:port or *, got "${text}"`,
  );
}

/** The value may hold a password, so it is not shown when it is refused for that. */
function checkMirror(key: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new NaruError("invalid_argument", `${key}: want an http or https URL, got "${text}"`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new NaruError("invalid_argument", `${key}: credentials in a URL: use docker login`);
  }
  if (url.search !== "" || url.hash !== "") {
    throw new NaruError("invalid_argument", `${key}: want no query or fragment in "${text}"`);
  }
  return text.replace(/\/+$/, "");
}

function checkInsecure(text: string): string {
  const entry = text.replace(/^https?:\/\//, "").replace(/\/$/, ""); // as dockerd does
  const [network = "", prefix] = entry.split("/", 2);
  if (prefix === undefined) {
    if (isAuthority(entry)) return entry;
  } else if (/^\d{1,3}$/.test(prefix)) {
    const bits = { 0: -1, 4: 32, 6: 128 }[isIP(network)] ?? -1;
    if (Number(prefix) <= bits && entry === `${network}/${prefix}`) return entry;
  }
  throw new NaruError(
    "invalid_argument",
    `insecure-registries: want host, host:port or a CIDR block, got "${text}"`,
  );
}

function isAuthority(text: string): boolean {
  return (
    /^(\[[0-9a-f:]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(:\d{1,5})?$/i.test(text) &&
    URL.canParse(`https://${text}`)
  );
}

function checkFolder(path: string): string {
  if (isAbsolute(path)) return path;
  throw new NaruError(
    "invalid_argument",
    `registry-certs-dirs: want an absolute path, got "${path}"`,
  );
}

function proxiesOf(values: Values): Pick<RegistryConfig, "httpProxy" | "httpsProxy" | "noProxy"> {
  const file = new Map(values.entries("proxies"));
  const one = (name: string): string => {
    const flag = values.text(name);
    const inFile = file.get(name);
    if (flag !== "" && inFile !== undefined) {
      const text = `given both as a flag and in the configuration file: ${name}; keep one of them`;
      throw new NaruError("invalid_argument", text);
    }
    return flag === "" ? (typeof inFile === "string" ? inFile : "") : flag;
  };
  return {
    httpProxy: checkProxy("http-proxy", one("http-proxy")),
    httpsProxy: checkProxy("https-proxy", one("https-proxy")),
    noProxy: one("no-proxy"),
  };
}

/** The value is not shown: it may hold a password. */
function checkProxy(key: string, text: string): string {
  if (text === "") return text;
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const protocol = URL.canParse(full) ? new URL(full).protocol : "";
  if (protocol === "http:" || protocol === "https:") return text;
  throw new NaruError("invalid_argument", `${key}: want an http or https URL`);
}
