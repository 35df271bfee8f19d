import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { emptyConfig, emptyHostConfig } from "../../test/fakes/bodies.ts";
import { containerRecord } from "../../test/fakes/records.ts";
import type { ContainerConfig, HostConfig } from "../spec/mod.ts";
import { checkConfig } from "./config-check.ts";
import { checkHostConfig, checkStorageOptions, writableBytesMax } from "./host-config-check.ts";
import { compileListFilters, compilePruneFilters, type FilterContext } from "./list-filter.ts";
import { planLog } from "./log-config.ts";
import { parseContainerName, randomName } from "./name.ts";
import type { ContainerRecord } from "./record.ts";
import { checkRestartPolicy, restartDelayMs, startsWithEngine } from "./restart-policy.ts";
import { parseSecurityOptions } from "./security-opt.ts";
import { durationText, statusText } from "./status-text.ts";

describe("names", () => {
  test("Docker's pattern, with or without slash", () => {
    expect(parseContainerName("/web_1.x-2")).toBe("web_1.x-2");
    for (const bad of ["a", "", "/", "-ab", "a b", "a/b", "ä1"]) {
      expect(() => parseContainerName(bad)).toThrow("Invalid container name");
    }
  });

  test("random names keep to the pattern, also when nearly all are taken", () => {
    let asked = 0;
    const name = randomName(() => (asked += 1) < 20);
    expect(parseContainerName(name)).toBe(name);
  });
});

describe("host config", () => {
  const bad: readonly [Partial<HostConfig>, RegExp][] = [
    [{ Memory: 1024 }, /Minimum memory limit allowed is 6MB/],
    [{ Memory: -1 }, /Minimum memory limit allowed is 6MB/],
    [{ Memory: 8 << 20, MemorySwap: 7 << 20 }, /memoryswap limit should be larger/],
    [{ MemorySwap: 8 << 20 }, /always set the Memory limit/],
    [{ MemorySwappiness: 101 }, /swappiness range is 0-100/],
    [{ NanoCpus: 1e15 }, /Range of CPUs is from 0.01/],
    [{ NanoCpus: 1e9, CpuPeriod: 1000 }, /Conflicting options/],
    [{ CpuPeriod: 10 }, /cfs period/],
    [{ CpusetCpus: "0-99999" }, /Requested CPUs are not available/],
    [{ CpusetCpus: "a" }, /for cpuset cpus/],
    [{ BlkioWeight: 5 }, /blkio weight is from 10 to 1000/],
    [{ OomScoreAdj: 2000 }, /oom score adj/],
    [{ ShmSize: -1 }, /SHM size/],
    [{ PidMode: "odd" }, /invalid PID mode/],
    [{ IpcMode: "odd" }, /invalid IPC mode/],
    [{ Links: ["a:b:c"] }, /bad format for links/],
    [{ UsernsMode: "private" }, /HostConfig.UsernsMode/],
    [{ CpuCount: 1 }, /HostConfig.CpuCount/],
    [{ Ulimits: [{ Name: "nofile", Soft: 2, Hard: 1 }] }, /soft limit/],
    [{ MaskedPaths: ["x"] }, /MaskedPaths/],
  ];
  for (const [over, words] of bad) {
    test(`refuses ${JSON.stringify(over)}`, () => {
      expect(() => checkHostConfig({ ...emptyHostConfig(), ...over })).toThrow(words);
    });
  }

  test("zero and default values pass", () => {
    const host = emptyHostConfig();
    checkHostConfig(host);
    checkHostConfig({ ...host, Isolation: "default", VolumeDriver: "local", UsernsMode: "host" });
    checkHostConfig({ ...host, MemorySwappiness: -1, PidsLimit: -1, Links: [], MemorySwap: -1 });
  });
});

describe("config", () => {
  const bad: readonly [Partial<ContainerConfig>, RegExp][] = [
    [{ WorkingDir: "x" }, /needs to be an absolute path/],
    [{ Env: ["=x"] }, /invalid environment variable/],
    [{ StopSignal: "SIGNONE" }, /Invalid signal: SIGNONE/],
    [{ Hostname: "a".repeat(64) }, /invalid hostname/],
    [{ ExposedPorts: { "70000/tcp": {} } }, /invalid port/],
    [{ Domainname: "a\n6.6.6.6 b" }, /invalid domainname/],
    [{ User: "a\0b" }, /User/],
    [{ MacAddress: "0:1" }, /MacAddress/],
    [{ Healthcheck: { Interval: 5 } }, /cannot be less than 1ms/],
    [{ Healthcheck: { Retries: -1 } }, /cannot be negative/],
    [{ Healthcheck: { Test: ["ODD", "x"] } }, /health check test/],
  ];
  for (const [over, words] of bad) {
    test(`refuses ${JSON.stringify(over).slice(0, 60)}`, () => {
      expect(() => checkConfig({ ...emptyConfig(), ...over })).toThrow(words);
    });
  }
});

test("security options", () => {
  expect(
    parseSecurityOptions([
      "no-new-privileges",
      "seccomp=unconfined",
      "apparmor:unconfined",
      "systempaths=unconfined",
      "label=disable",
    ]),
  ).toEqual({
    noNewPrivileges: true,
    seccomp: "unconfined",
    apparmor: "unconfined",
    systemPathsUnconfined: true,
  });
  expect(parseSecurityOptions(["no-new-privileges=false"]).noNewPrivileges).toBe(false);
  expect(() => parseSecurityOptions(["odd=1"])).toThrow("invalid --security-opt");
  expect(() => parseSecurityOptions(["label=type:x"])).toThrow("SELinux");
});

test("log options", () => {
  const plan = (Config: Record<string, string>, Type = "json-file") => planLog({ Type, Config });
  expect(plan({ "max-size": "10m", "max-file": "3", compress: "false" }).limits).toEqual({
    segmentBytesMax: 10 << 20,
    segmentsMax: 3,
    compress: false,
  });
  expect(plan({}, "none").limits).toBeUndefined();
  expect(() => plan({}, "x")).toThrow("logger: no log driver named 'x' is registered");
  expect(() => plan({ x: "y" })).toThrow("unknown log opt 'x' for json-file log driver");
  for (const bad of ["x", "-5", "0", "10x"]) {
    expect(() => plan({ "max-size": bad })).toThrow("max-size");
  }
});

describe("restart policy", () => {
  const run = { exitCode: 1, ranMs: 5, stoppedByUser: false, restartCount: 0, lastDelayMs: 0 };
  test("back-off doubles up to a minute and begins anew after a steady run", () => {
    const always = { Name: "always", MaximumRetryCount: 0 };
    expect(restartDelayMs(always, run)).toBe(100);
    expect(restartDelayMs(always, { ...run, lastDelayMs: 100 })).toBe(200);
    expect(restartDelayMs(always, { ...run, lastDelayMs: 50_000 })).toBe(60_000);
    expect(restartDelayMs(always, { ...run, lastDelayMs: 800, ranMs: 10_000 })).toBe(100);
    expect(restartDelayMs(always, { ...run, stoppedByUser: true })).toBeUndefined();
  });

  test("on-failure counts and forgives success", () => {
    const policy = { Name: "on-failure", MaximumRetryCount: 2 };
    expect(restartDelayMs(policy, { ...run, restartCount: 1 })).toBe(100);
    expect(restartDelayMs(policy, { ...run, restartCount: 2 })).toBeUndefined();
    expect(restartDelayMs(policy, { ...run, exitCode: 0 })).toBeUndefined();
  });

  test("with the engine: always always, unless-stopped unless a person stopped it", () => {
    const last = { exitCode: 0, stoppedByUser: true, restartCount: 0 };
    expect(startsWithEngine({ Name: "always", MaximumRetryCount: 0 }, last)).toBe(true);
    const unless = { Name: "unless-stopped", MaximumRetryCount: 0 };
    expect(startsWithEngine(unless, last)).toBe(false);
    expect(startsWithEngine(unless, { ...last, stoppedByUser: false })).toBe(true);
    expect(startsWithEngine({ Name: "no", MaximumRetryCount: 0 }, last)).toBe(false);
  });

  test("what cannot be is refused", () => {
    expect(() => checkRestartPolicy({ Name: "odd", MaximumRetryCount: 0 }, false)).toThrow("odd");
    expect(() => checkRestartPolicy({ Name: "always", MaximumRetryCount: 1 }, false)).toThrow();
    expect(() => checkRestartPolicy({ Name: "always", MaximumRetryCount: 0 }, true)).toThrow(
      "can't create 'AutoRemove' container with restart policy",
    );
  });
});

describe("status text", () => {
  const S = 1_000_000_000n;
  const exited = {
    kind: "exited",
    exitCode: 3,
    startedAtNs: "0",
    finishedAtNs: "0",
    oomKilled: false,
    error: "",
  } as const;
  const running = {
    kind: "running",
    handle: { pid: 1, pidStartTime: "1", conmonPid: 2, conmonStartTime: "1" },
    startedAtNs: "0",
    paused: false,
  } as const;

  test("words as docker ps has them", () => {
    expect(statusText({ kind: "created", error: "", exitCode: 0 }, 0n)).toBe("Created");
    expect(statusText(running, 180n * S)).toBe("Up 3 minutes");
    expect(statusText(running, 180n * S, "starting")).toBe("Up 3 minutes (health: starting)");
    expect(statusText({ ...running, paused: true }, 2n * S)).toBe("Up 2 seconds (Paused)");
    expect(statusText(exited, 7200n * S)).toBe("Exited (3) 2 hours ago");
    expect(statusText({ kind: "starting", before: exited }, 0n)).toBe(
      "Exited (3) Less than a second ago",
    );
    const byPolicy = { kind: "starting", before: exited, againAtNs: "0" } as const;
    expect(statusText(byPolicy, 0n)).toBe("Restarting (3) Less than a second ago");
  });

  test("a longer time is never a shorter text in another unit", () => {
    const words: readonly [number, string][] = [
      [1, "1 second"],
      [59, "59 seconds"],
      [60, "About a minute"],
      [119, "About a minute"],
      [3599, "59 minutes"],
      [3600, "About an hour"],
      [86400, "24 hours"],
      [86400 * 3, "3 days"],
      [86400 * 20, "2 weeks"],
      [86400 * 90, "3 months"],
      [86400 * 800, "2 years"],
    ];
    for (const [seconds, text] of words) expect(durationText(seconds)).toBe(text);
  });
});

describe("list filters", () => {
  const web = containerRecord({
    name: "web",
    createdAtNs: "2000000000000000000",
    config: {
      ...emptyConfig(),
      Image: "nginx",
      Labels: { a: "b" },
      ExposedPorts: { "80/tcp": {}, "90-92/udp": {} },
    },
  });
  const old = containerRecord({ name: "old", createdAtNs: "1000000000000000000" });
  const context: FilterContext = {
    find: (ref) => {
      const found = [web, old].find(({ name }) => name === ref);
      if (found === undefined) throw new Error(`No such container: ${ref}`);
      return found;
    },
    healthOf: () => "none",
    publishedBy: () => [],
    imageId: (name) => (name === "nginx" ? web.imageId : undefined),
    networksOf: () => [{ id: "abcdef", name: "bridge" }],
  };
  const names = (filters: Record<string, string[]>): string[] => {
    const fits = compileListFilters(new Map(Object.entries(filters)), context);
    return [web, old].filter((record: ContainerRecord) => fits(record)).map(({ name }) => name);
  };
  const cases: readonly [Record<string, string[]>, string[]][] = [
    [{}, ["web", "old"]],
    [{ name: ["^/we"] }, ["web"]],
    [{ name: ["["] }, []],
    [{ id: [web.id.slice(0, 6)] }, ["web"]],
    [{ label: ["a=b"] }, ["web"]],
    [{ label: ["a", "c"] }, []],
    [{ status: ["created", "running"] }, ["web", "old"]],
    [{ status: ["running"] }, []],
    [{ before: ["web"] }, ["old"]],
    [{ since: ["old"] }, ["web"]],
    [{ ancestor: ["nothing"] }, []],
    [{ expose: ["80"] }, ["web"]],
    [{ expose: ["91/udp"] }, ["web"]],
    [{ publish: ["80"] }, []],
    [{ network: ["bridge"] }, ["web", "old"]],
    [{ network: ["abc"] }, ["web", "old"]],
    [{ exited: ["0"] }, []],
    [{ "is-task": ["false"] }, ["web", "old"]],
    [{ health: ["none"] }, ["web", "old"]],
  ];
  for (const [filters, want] of cases) {
    test(JSON.stringify(filters), () => expect(names(filters)).toEqual(want));
  }
  for (const bad of [
    { odd: ["x"] },
    { status: ["odd"] },
    { exited: ["x"] },
    { expose: ["99999"] },
    { health: ["odd"] },
  ]) {
    test(`refuses ${JSON.stringify(bad)}`, () => {
      expect(() => names(bad as never)).toThrow(/invalid filter/);
    });
  }

  test("prune: until as an instant and as a length of time", () => {
    const nowNs = 2_000_000_000_000_000_000n + 3_600_000_000_000n;
    const fits = (until: string) => compilePruneFilters(new Map([["until", [until]]]), nowNs);
    expect(fits("30m")(web)).toBe(true);
    expect(fits("1h30m")(web)).toBe(false);
    expect(fits("2001-09-09T01:46:41Z")(old)).toBe(true);
    expect(() => fits("soon")).toThrow("until=soon");
  });
});

test("no text makes a check throw anything but its own errors", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (key, value) => {
      try {
        compileListFilters(new Map([[key, [value]]]), {
          find: () => containerRecord(),
          healthOf: () => "none",
          imageId: () => undefined,
          networksOf: () => [],
          publishedBy: () => [],
        })(containerRecord());
      } catch (error) {
        expect(String(error)).toContain("invalid filter");
      }
    }),
  );
});

test("the size of the writable layer, and what it cannot be", () => {
  const host = (StorageOpt: Record<string, string>): HostConfig => ({
    ...emptyHostConfig(),
    StorageOpt,
  });
  expect(writableBytesMax(emptyHostConfig())).toBe(0);
  expect(writableBytesMax(host({ size: "10m" }))).toBe(10 * 1024 * 1024);
  expect(() => writableBytesMax(host({ size: "many" }))).toThrow("invalid size");
  expect(() => writableBytesMax(host({ colour: "red" }))).toThrow("unknown option colour");
  expect(() => checkStorageOptions(host({ size: "1g" }), () => false)).toThrow(
    "HostConfig.StorageOpt",
  );
  checkStorageOptions(host({ size: "1g" }), () => true);
  checkStorageOptions(host({}), () => false);
});
