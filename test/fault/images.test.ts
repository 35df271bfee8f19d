/** kill -9 at each named place of load, commit and removal of images: whole or not there, and nothing left. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tarArchive } from "../../scripts/tar-writer.ts";
import { COMMIT_CRASH_POINTS } from "../../src/containers/mod.ts";
import { IMAGE_CRASH_POINTS } from "../../src/images/mod.ts";
import { type CliResult, cli, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles, busyboxLayer, dockerArchive } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 30_000;
const INSTALL_POINTS = IMAGE_CRASH_POINTS.filter((point) => point.startsWith("install."));

let engine: TestEngine;
let archive: string;
/** What the engine keeps on disk when only busybox is there. */
let base: readonly string[];

const naru = (...args: readonly string[]): Promise<CliResult> => cli(engine, args);

/** Everything that images have on disk: blobs, what is coming in, and layers. */
function kept(): readonly string[] {
  const folders = ["blobs/sha256", "ingest", "layers"].flatMap((name) => {
    const folder = join(engine.dataRoot, name);
    return readdirSync(folder, { recursive: false }).map((entry) => `${name}/${String(entry)}`);
  });
  return folders.toSorted();
}

/** An engine that is to die at `point` gets one command, and the next one finds what is left. */
async function crash(point: string, ...args: readonly string[]): Promise<void> {
  await engine.stop();
  await engine.start({ env: { NARU_CRASH_AT: point } });
  const result = await naru(...args);
  expect(result.exitCode).not.toBe(0);
  expect(await engine.answers()).toBe(false);
  await engine.kill9();
  await engine.start();
}

async function untilOnly(wanted: readonly string[]): Promise<void> {
  for (let waited = 0; waited < 100 && kept().join() !== wanted.join(); waited += 1) {
    await Bun.sleep(30); // layers are removed in the background
  }
  expect(kept()).toEqual([...wanted]);
}

async function expectRunning(reference: string): Promise<void> {
  const ran = await naru("run", "--rm", "--network", "none", reference, "cat", "/added");
  expect(ran).toMatchObject({ exitCode: 0, stdout: "added\n" });
}

describe.skipIf(!privileged())("killed at", () => {
  beforeAll(async () => {
    engine = await startEngine();
    const added = tarArchive([{ path: "added", kind: "file", data: "added\n" }]);
    archive = join(engine.root, "two.tar");
    const layers = [await busyboxLayer(), added];
    await writeFile(archive, dockerArchive([{ reference: "two:latest", config: {}, layers }]));
    expect((await naru("load", "-i", (await busyboxFiles()).dockerArchive)).exitCode).toBe(0);
    base = kept();
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);

  for (const point of INSTALL_POINTS) {
    test(
      `${point} of a load`,
      async () => {
        await crash(point, "load", "-i", archive);
        const there = (await naru("image", "inspect", "two")).exitCode === 0;
        expect(there).toBe(point === "install.after-commit");
        if (there) await expectRunning("two");
        else await untilOnly(base);
        expect((await naru("load", "-i", archive)).stdout).toContain("Loaded image: two:latest");
        await expectRunning("two");
        expect((await naru("rmi", "two")).exitCode).toBe(0);
        await untilOnly(base);
      },
      TEST_TIMEOUT_MS,
    );
  }

  for (const point of [...COMMIT_CRASH_POINTS, ...INSTALL_POINTS]) {
    test(
      `${point} of a commit`,
      async () => {
        const sleep = "echo added > /added; echo up; while :; do sleep 1; done";
        await naru("run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", sleep);
        await crash(point, "commit", "box", "made");
        const there = (await naru("image", "inspect", "made")).exitCode === 0;
        expect(there).toBe(["commit.before-thaw", "install.after-commit"].includes(point));
        const state = await naru("inspect", "-f", "{{.State.Status}} {{.State.Paused}}", "box");
        expect(state.stdout).toBe("running false\n");
        expect((await naru("exec", "box", "cat", "/added")).stdout).toBe("added\n");
        expect((await naru("commit", "box", "made")).exitCode).toBe(0);
        await expectRunning("made");
        expect((await naru("rm", "-f", "box")).exitCode).toBe(0);
        // The one that was whole, but for which nobody was answered, has lost its name to the other.
        await naru("rmi", "made");
        await naru("image", "prune", "-f");
        await untilOnly(base);
      },
      TEST_TIMEOUT_MS,
    );
  }

  test(
    "untag.after-commit",
    async () => {
      expect((await naru("load", "-i", archive)).exitCode).toBe(0);
      await crash("untag.after-commit", "rmi", "two");
      expect((await naru("image", "inspect", "two")).exitCode).not.toBe(0);
      await untilOnly(base);
      expect((await naru("run", "--rm", "--network", "none", "busybox", "true")).exitCode).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );
});
