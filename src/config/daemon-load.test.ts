import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NARU_DEFAULTS } from "./daemon-config.ts";
import { parseDaemonFile } from "./daemon-file.ts";
import { parseDaemonFlags } from "./daemon-flags.ts";
import { daemonHelp } from "./daemon-help.ts";
import { loadDaemonConfig, parseDaemonCommand } from "./daemon-load.ts";

const RUNTIME = ["--add-runtime", "mine=/usr/bin/true", "--default-runtime", "mine"];
const load = (...argv: string[]) =>
  loadDaemonConfig(
    parseDaemonFlags([...RUNTIME, "--config-file", "/dev/null", ...argv]),
    NARU_DEFAULTS,
  );

function withFile<T>(text: string, use: (path: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), "naru-config-"));
  try {
    const path = join(dir, "daemon.json");
    writeFileSync(path, text);
    return use(path);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("daemon flags", () => {
  test("take values as the next word, after = and glued to a short flag", () => {
    const config = load(
      "-D",
      "-Hunix:///a.sock",
      "--host=tcp://127.0.0.1:2375",
      "--mtu",
      "1400",
      "--icc=false",
    );
    expect(config.debug).toBe(true);
    expect(config.hosts).toEqual(["unix:///a.sock", "tcp://127.0.0.1:2375"]);
    expect(config.mtu).toBe(1400);
    expect(config.icc).toBe(false);
  });

  test.each([
    [["--no-such-flag"], "unknown flag: --no-such-flag"],
    [["-Z"], "unknown flag: -Z"],
    [["--mtu"], "flag needs an argument: --mtu"],
    [["--mtu", "wide"], '--mtu: want a whole number, got "wide"'],
    [["--mtu", "70000"], "mtu: want 0 to 65535, got 70000"],
    [["--debug=maybe"], '--debug: want true or false, got "maybe"'],
    [["stray"], 'the daemon takes no arguments, got "stray"'],
    [["--host", "http://x"], "hosts: want unix:///path"],
    [["--bip", "10.0.0.1"], "bip: want an IPv4 address with a prefix"],
    [["--bip", "10.0.0.300/24"], "bip: want an IPv4 address with a prefix"],
    [["--bip", "fd00::1/64"], "bip: want an IPv4 address with a prefix"],
    [["--fixed-cidr", "10.0.0.0"], "fixed-cidr: want an IPv4 address with a prefix"],
    [["--bip6", "fd00::1/64"], "the default bridge has no IPv6: add ipv6"],
    [["--ipv6", "--bip6", "10.0.0.1/8"], "bip6: want an IPv6 address with a prefix"],
    [["--default-gateway", "fd00::1"], "default-gateway: want an IPv4 address"],
    [["--default-address-pool", "base=10.0.0.0/16"], "want base=subnet,size=bits"],
    [["--default-address-pool", "base=10.0.0.0/16,size=24,more=1"], "want base=subnet,size=bits"],
    [["--default-address-pool", "base=fd00::/8,size=64"], ""],
    [["--default-address-pool", "base=10.0.0.0/16,size=8"], "want a size from 16 to 30"],
    [["--default-network-opt", "bridge=mtu"], "want driver=option=value, got"],
    [["--host-gateway-ip", "10.0.0.1", "--host-gateway-ip", "10.0.0.2"], "host-gateway-ips: want"],
    [["--bridge", "a-name-that-is-too-long"], "cannot be the name of a link"],
    [["--label", "novalue="], ""],
    [["--label", "=x"], "labels: want key=value"],
    [["--default-ulimit", "nofile=5:2"], "nofile: soft limit 5 is above the hard limit 2"],
    [["--default-ulimit", "files=5"], "invalid ulimit type: files"],
    [["--exec-opt", "native.cgroupdriver=other"], "want cgroupfs or systemd"],
    [["--default-runtime=gone"], 'no runtime "gone"'],
    [["--tls"], "tls: needs tlscert and tlskey"],
    [["--iptables=false"], "iptables: cannot be switched off"],
    [["--data-root", "relative"], "data-root: want an absolute path"],
    [["--default-shm-size", "lots"], 'default-shm-size: invalid size "lots"'],
  ])("%p is answered by %p", (argv, message) => {
    if (message === "") expect(() => load(...argv)).not.toThrow();
    else expect(() => load(...argv)).toThrow(message);
  });

  test("that repeat dockerd's defaults pass", () => {
    expect(() =>
      load("--live-restore=false", "--ipv6=false", "--storage-driver=overlay2", "--iptables"),
    ).not.toThrow();
  });

  test("--validate asks for a check only", () => {
    expect(parseDaemonCommand(["--validate"]).validateOnly).toBe(true);
    expect(parseDaemonCommand(["-D"]).validateOnly).toBe(false);
  });
});

describe("daemon.json", () => {
  test("sets what flags set", () => {
    const config = withFile(
      '{"debug": true, "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 10, "Hard": 20}}, "runtimes": {"other": {"path": "/bin/other", "runtimeArgs": ["-x"]}}}',
      (path) =>
        loadDaemonConfig(
          parseDaemonFlags(["--config-file", path, "--default-runtime", "other"]),
          NARU_DEFAULTS,
        ),
    );
    expect(config.debug).toBe(true);
    expect(config.ulimits).toEqual([{ Name: "nofile", Soft: 10, Hard: 20 }]);
    expect(config.runtimes.get("other")).toEqual({ path: "/bin/other", args: ["-x"] });
  });

  test.each([
    ['{"no-such": 1, "nor-this": 2}', "f: unknown keys: no-such, nor-this"],
    ['{"debug": "yes"}', 'f: debug: want true or false, got "yes"'],
    ['{"hosts": "unix:///x"}', "f: hosts: want a list of strings"],
    ['{"mtu": 1.5}', "f: mtu: want a whole number"],
    ['{"runtimes": {"a": {"path": 5}}}', "f: runtimes: want an object like"],
    [
      '{"default-ulimits": {"nofile": {"Soft": "x", "Hard": 1}}}',
      "f: default-ulimits: want an object like",
    ],
    ["[]", "f: want a JSON object"],
    ["{", "f: not JSON"],
  ])("%p is refused by name", (text, message) => {
    expect(() => parseDaemonFile(text, "f")).toThrow(message);
  });

  test("an option in both places is refused", () => {
    withFile('{"debug": true}', (path) =>
      expect(() =>
        loadDaemonConfig(parseDaemonFlags(["-D", "--config-file", path]), NARU_DEFAULTS),
      ).toThrow("given both as a flag and in the configuration file: debug"),
    );
  });

  test("a file that was named must exist, the default one need not", () => {
    const at = (configFile: string) => ({ ...NARU_DEFAULTS, configFile });
    expect(() =>
      loadDaemonConfig(parseDaemonFlags(["--config-file", "/nonexistent/x"]), NARU_DEFAULTS),
    ).toThrow("cannot read /nonexistent/x");
    expect(() => loadDaemonConfig(parseDaemonFlags(RUNTIME), at("/nonexistent/x"))).not.toThrow();
  });
});

test("the help names every flag that is honoured", () => {
  expect(daemonHelp("naru daemon")).toContain("--data-root string");
});
