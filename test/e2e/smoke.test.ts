/** The shortest way through everything, with the built file as a black box. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cliOk } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { terminal } from "../harness/pty.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const LIMIT_MS = 60_000; // each takes under a second on an idle machine

let engine: TestEngine;

beforeAll(async () => {
  engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
}, LIMIT_MS);

afterAll(() => engine.destroy(), LIMIT_MS);

test(
  "a shell on a terminal sees the size, a resize, and its detach keys",
  async () => {
    await using session = terminal(engine, ["run", "-it", "--name", "tty", "busybox"]);
    await session.expect("#");
    session.type("stty size\r");
    await session.expect("24 80");
    session.resize(100, 30);
    session.type("sleep 0.2; stty size\r");
    await session.expect("30 100");
    session.type("\x10\x11");
    await session.exited();
    expect(await cliOk(engine, ["ps", "-q", "--filter", "name=tty"])).not.toBe("");
    await cliOk(engine, ["rm", "-f", "tty"]);
  },
  LIMIT_MS,
);

test(
  "an engine that is killed leaves its containers running and finds them again",
  async () => {
    const script = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.05; done";
    await cliOk(engine, ["run", "-d", "--name", "alive", "busybox", "sh", "-c", script]);
    await engine.kill9();
    await engine.start();
    expect(await cliOk(engine, ["exec", "alive", "echo", "here"])).toBe("here");
    await cliOk(engine, ["kill", "alive"]);
    expect(await cliOk(engine, ["wait", "alive"])).toBe("137");
    const lines = (await cliOk(engine, ["logs", "alive"])).split("\n");
    expect(lines).toEqual(lines.map((_, index) => `line ${index}`));
    await cliOk(engine, ["rm", "alive"]);
  },
  LIMIT_MS,
);
