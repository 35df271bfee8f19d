/** Why packets arrive or do not, as `naru network doctor` says it, beside what packets really do. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { freePort } from "./daemon-outside.ts";

const LIMIT_MS = 60_000;
const execute = promisify(execFile);

let engine: TestEngine;

beforeAll(async () => {
  engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
  await cliOk(engine, ["network", "create", "red"]);
  await cliOk(engine, ["network", "create", "--internal", "blue"]);
  await cliOk(engine, [
    ...["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart"],
  ]);
  for (const [name, network] of [
    ["r1", "red"],
    ["r2", "red"],
    ["b1", "blue"],
    ["a1", "apart"],
    ["a2", "apart"],
  ] as const) {
    await cliOk(engine, [
      ...["run", "-d", "--name", name, "--network", network, "busybox", "sleep", "1000"],
    ]);
  }
}, LIMIT_MS);

afterAll(() => engine?.destroy(), LIMIT_MS);

const doctor = (...args: readonly string[]) => cli(engine, ["network", "doctor", ...args]);

const reaches = async (from: string, to: string): Promise<boolean> => {
  const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const address = await cliOk(engine, ["inspect", "-f", format, to]);
  const ping = ["exec", from, "ping", "-c", "1", "-W", "1", address];
  return (await cli(engine, ping)).exitCode === 0;
};

describe.skipIf(!privileged())("network doctor", () => {
  test(
    "agrees with what packets do, and says what to do about it",
    async () => {
      for (const [from, to, message] of [
        ["r1", "r2", /^ok +r1 reaches r2 on red as r2 \(\d/m],
        ["r1", "b1", /^PROBLEM +r1 and b1 share no network.*\n.*-> naru network connect red b1$/m],
        ["a1", "a2", /^PROBLEM +apart keeps its containers apart/m],
      ] as const) {
        const told = await doctor(from, to);
        expect(told.stdout).toMatch(message);
        const good = await reaches(from, to);
        expect([told.exitCode, good]).toEqual(good ? [0, true] : [1, false]);
      }
    },
    LIMIT_MS,
  );

  test(
    "says what is reached from outside, and where nothing leads",
    async () => {
      const port = await freePort();
      await cliOk(engine, ["update", `--publish-add=127.0.0.1:${port}:80`, "r1"]);
      expect((await doctor("r1")).stdout).toContain(
        `80/tcp is reached at 127.0.0.1 port ${port}, from this host alone`,
      );
      const inner = await doctor("b1");
      expect(inner.stdout).toMatch(/b1 does not reach the outside: blue is internal/);
      expect(inner.stdout).toMatch(/nothing of b1 is reached from outside/);
      const lines = (await doctor("--format", "json", "r1")).stdout.trim().split("\n");
      expect(lines.map((line) => (JSON.parse(line) as { Level: string }).Level)).not.toContain(
        "problem",
      );
      await cliOk(engine, ["stop", "-t", "0", "a2"]);
      expect((await doctor("a1", "a2")).stdout).toMatch(/a2 does not run\n +-> naru start a2/);
      expect((await doctor("nobody")).stderr).toContain("No such container: nobody");
    },
    LIMIT_MS,
  );

  test(
    "knows who has no network of its own",
    async () => {
      for (const [name, network] of [
        ["none", "none"],
        ["host", "host"],
        ["joined", "container:r1"],
      ] as const) {
        await cliOk(engine, [
          ...["run", "-d", "--name", name, "--network", network, "busybox", "sleep", "1000"],
        ]);
      }
      for (const [names, exitCode, message] of [
        [["none"], 1, /^PROBLEM +none has no network\n +-> make it again with --network/],
        [["r1", "none"], 1, /PROBLEM +none has no network/],
        [["host"], 0, /^note +host is on the host's network/],
        [["host", "r1"], 0, /ok +the host reaches r1 at \d/],
        [["r1", "host"], 0, /note +r1 reaches what listens on the host at \d/],
        [["joined"], 0, /^note +joined shares the network of \w+\n +-> ask for/],
      ] as const) {
        const told = await doctor(...names);
        expect([told.exitCode, told.stderr, told.stdout]).toEqual([
          exitCode,
          "",
          expect.stringMatching(message),
        ]);
        expect(told.stdout).not.toContain("share no network");
      }
    },
    LIMIT_MS,
  );

  test(
    "names the chain of another program that drops, and rules that somebody flushed",
    async () => {
      const table = `doctor_${engine.id}`;
      const chain = "{ type filter hook forward priority 5; policy drop; }";
      await execute("nft", ["add", "table", "ip", table]);
      try {
        await execute("nft", [`add chain ip ${table} forward ${chain}`]);
        const told = await doctor("r1");
        expect(told.stdout).toContain(`ip ${table} forward of another program drops`);
        expect(told.exitCode).toBe(1);
      } finally {
        await execute("nft", ["delete", "table", "ip", table]);
      }
      const { stdout } = await execute("nft", ["list", "ruleset"]);
      const own = stdout.split(/^(?=table )/m).find((text) => text.includes(`"${engine.bridge}"`));
      const name = /^table ip (naru_\S+)/.exec(own ?? "")?.[1] ?? "";
      await execute("nft", ["delete", "table", "ip", name]);
      expect((await doctor("r1")).stdout).toMatch(/PROBLEM +the engine's nftables rules are gone/);
      await engine.kill9();
      await engine.start();
      expect((await doctor("r1")).exitCode).toBe(0);
    },
    LIMIT_MS,
  );
});
