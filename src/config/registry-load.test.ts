import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NARU_DEFAULTS, type RegistryConfig } from "./daemon-config.ts";
import { parseDaemonFlags } from "./daemon-flags.ts";
import { loadDaemonConfig } from "./daemon-load.ts";

const RUNTIME = ["--add-runtime", "mine=/usr/bin/true", "--default-runtime", "mine"];

function load(argv: readonly string[], file: object = {}): RegistryConfig {
  const dir = mkdtempSync(join(tmpdir(), "naru-config-"));
  try {
    const path = join(dir, "daemon.json");
    writeFileSync(path, JSON.stringify(file));
    const flags = parseDaemonFlags([...RUNTIME, "--config-file", path, ...argv]);
    return loadDaemonConfig(flags, NARU_DEFAULTS).registries;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("registries in the configuration", () => {
  test("have dockerd's numbers unless told otherwise", () => {
    const { downloadsMax, uploadsMax, attemptsMax, offline, mirrors } = load([]);
    expect([downloadsMax, uploadsMax, attemptsMax, offline]).toEqual([3, 5, 5, false]);
    expect(mirrors.size).toBe(0);
  });

  test("take mirrors of Docker Hub and of any host, several each, in order", () => {
    const { mirrors } = load(["--registry-mirror", "https://one.example/"], {
      mirrors: {
        "docker.io": ["https://two.example", "https://one.example"],
        "ghcr.io": ["http://cache:5000/ghcr"],
        "*": ["https://all.example"],
      },
    });
    expect(mirrors.get("docker.io")).toEqual(["https://one.example", "https://two.example"]);
    expect(mirrors.get("ghcr.io")).toEqual(["http://cache:5000/ghcr"]);
    expect(mirrors.get("*")).toEqual(["https://all.example"]);
    const flags = load(["--mirror", "quay.io=https://a.example", "--mirror", "quay.io=http://b"]);
    expect(flags.mirrors.get("quay.io")).toEqual(["https://a.example", "http://b"]);
  });

  test("take insecure hosts as dockerd does", () => {
    const { insecure } = load(["--insecure-registry", "http://old.example:80/"], {});
    expect(insecure).toEqual(["old.example:80"]);
    const many = ["host", "10.0.0.0/8", "fd00::/8", "[::1]:5000"];
    expect(load([], { "insecure-registries": many }).insecure).toEqual(many);
  });

  test("take proxies from the file or from flags", () => {
    const proxies = {
      "http-proxy": "http://p:3128",
      "https-proxy": "p:3129",
      "no-proxy": ".local",
    };
    const inFile = load([], { proxies });
    expect([inFile.httpProxy, inFile.httpsProxy, inFile.noProxy]).toEqual(Object.values(proxies));
    expect(load(["--https-proxy", "http://q:1"]).httpsProxy).toBe("http://q:1");
    expect(() => load(["--http-proxy", "http://q:1"], { proxies })).toThrow(
      "given both as a flag and in the configuration file: http-proxy",
    );
  });

  test.each([
    [{ "registry-mirrors": ["mirror.example"] }, "registry-mirrors: want an http or https URL"],
    [{ "registry-mirrors": ["ftp://m"] }, "registry-mirrors: want an http or https URL"],
    [{ "registry-mirrors": ["https://m?x=1"] }, "want no query or fragment"],
    [{ mirrors: { "a/b": ["https://m"] } }, "mirrors: want a registry's host"],
    [{ mirrors: { "ghcr.io": "https://m" } }, "mirrors: want an object like"],
    [{ "insecure-registries": ["10.0.0.0/33"] }, "insecure-registries: want host"],
    [{ "insecure-registries": ["a/b"] }, "insecure-registries: want host"],
    [{ "registry-certs-dirs": ["certs.d"] }, "registry-certs-dirs: want an absolute path"],
    [{ "max-concurrent-downloads": 0 }, "max-concurrent-downloads: want 1 to 64, got 0"],
    [{ "max-download-attempts": 1000 }, "max-download-attempts: want 1 to 100"],
    [{ proxies: { "http-proxy": "socks5://p" } }, "http-proxy: want an http or https URL"],
    [{ proxies: { ftp: "http://p" } }, "proxies: want an object of http-proxy"],
    [{ offline: "yes" }, "offline: want true or false"],
  ])("refuse %j by name", (file, message) => {
    expect(() => load([], file)).toThrow(message);
  });

  test("never show a password that they refuse", () => {
    const mirrors = (): unknown => load(["--registry-mirror", "https://me:hunter2@mirror"]);
    expect(mirrors).toThrow("credentials in a URL");
    expect(mirrors).not.toThrow("hunter2");
    expect(() => load(["--http-proxy", "socks5://me:hunter2@p"])).not.toThrow("hunter2");
  });
});
