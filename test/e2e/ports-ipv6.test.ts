/** The IPv6 column of the table of ways to a published port, and foreign tables that drop. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { freePort } from "./daemon-outside.ts";
import { Outside } from "./outside.ts";
import { SERVER, who } from "./who.ts";

const LIMIT_MS = 60_000;
const execute = promisify(execFile);
const able = privileged();

/** Docker's own rules are not to be touched. */
const hasFilter =
  able && /^table ip6? filter$/m.test(execFileSync("nft", ["list", "tables"]).toString());
if (hasFilter) console.error("SKIPPED foreign drop policy: this host has a filter table in use");

let engine: TestEngine;
let outside: Outside;
let port = 0;
let local = 0;
let gateway6 = "";
let own6 = "";

beforeAll(async () => {
  if (!able) return;
  engine = await startEngine();
  outside = new Outside();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
  await cliOk(engine, ["network", "create", "--ipv6", "six"]);
  [port, local] = [await freePort(), await freePort()];
  const ports = ["-p", `${port}:80`, "-p", `[::1]:${local}:80`];
  await cliOk(engine, [
    ...["run", "-d", "--name", "web", "--network", "six", ...ports, "busybox", "sh", "-c", SERVER],
  ]);
  await cliOk(engine, [
    ...["run", "-d", "--name", "other", "--network", "six", "busybox", "sleep", "1000"],
  ]);
  const place = '(index .NetworkSettings.Networks "six")';
  const told = await cliOk(engine, [
    ...["inspect", "-f", `{{${place}.IPv6Gateway}} {{${place}.GlobalIPv6Address}}`, "web"],
  ]);
  [gateway6 = "", own6 = ""] = told.split(" ");
  for (let tries = 0; (await who(own6, 80)) === "" && tries < 50; tries += 1) await Bun.sleep(20);
}, LIMIT_MS);

afterAll(async () => {
  outside?.[Symbol.dispose]();
  await engine?.destroy();
}, LIMIT_MS);

const fromOutside = (): string[] => ["ip", "netns", "exec", outside.namespace];

async function inContainer(name: string, address: string): Promise<string> {
  const pid = await cliOk(engine, ["inspect", "-f", "{{.State.Pid}}", name]);
  return await who(address, port, ["nsenter", "-n", "-t", pid]);
}

/** As the server writes a client's address. */
const written = (address: string): string =>
  `[${new URL(`http://[${address}]/`).hostname.slice(1, -1)}]`;

describe.skipIf(!able)("a port published over IPv6", () => {
  test(
    "from outside, with the client's own address",
    async () => {
      expect(await who(outside.hostAddress6, port, fromOutside())).toBe(written(outside.address6));
      expect(await who(outside.hostAddress, port, fromOutside())).toBe(outside.address);
    },
    LIMIT_MS,
  );

  test(
    "from another container and from itself by the host's address, masqueraded",
    async () => {
      for (const name of ["other", "web"]) {
        expect(await inContainer(name, outside.hostAddress6)).toBe(written(gateway6));
      }
    },
    LIMIT_MS,
  );

  test(
    "from the host by its own address, and by ::1 through the forwarder",
    async () => {
      expect(await who(outside.hostAddress6, port)).not.toBe("");
      expect(await who("::1", port)).not.toBe("");
      expect(await who("::1", local)).not.toBe("");
    },
    LIMIT_MS,
  );

  test(
    "bound to loopback it is not there for others; nor is the container's own address",
    async () => {
      expect(await who(outside.hostAddress6, local, fromOutside())).toBe("");
      await execute("ip", [
        ...["-n", outside.namespace, "route", "add", "default", "via", outside.hostAddress6],
      ]);
      expect(await who(own6, 80, fromOutside())).toBe("");
    },
    LIMIT_MS,
  );

  test.skipIf(hasFilter)(
    "passes where another program drops forwarding by policy and has a place for others",
    async () => {
      const made: string[][] = [];
      try {
        for (const family of ["ip", "ip6"]) {
          made.push(["delete", "table", family, "filter"]);
          for (const words of [
            `add table ${family} filter`,
            `add chain ${family} filter DOCKER-USER`,
            `add chain ${family} filter FORWARD { type filter hook forward priority 0; policy drop; }`,
            `add rule ${family} filter FORWARD jump DOCKER-USER`,
          ]) {
            await execute("nft", [words]);
          }
        }
        expect(await who(outside.hostAddress, port, fromOutside())).toBe("");
        await engine.kill9();
        await engine.start(); // as it would be after the host's start, whoever came first
        for (const address of [outside.hostAddress, outside.hostAddress6]) {
          expect(await who(address, port, fromOutside())).not.toBe("");
        }
      } finally {
        for (const words of made) await execute("nft", words);
      }
    },
    LIMIT_MS,
  );
});
