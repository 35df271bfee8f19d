import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { silentLogger } from "../../src/observe/mod.ts";
import { connectStdio, type StdioClient } from "../../src/runtime/mod.ts";
import { type Bench, eventually, openBench, type Run } from "./runtime-fixture.ts";

let bench: Bench;

beforeAll(async () => {
  bench = await openBench();
});

afterAll(async () => {
  await bench.close();
});

async function logText(run: Run, tailLines?: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  const options = { stdout: true, stderr: true, follow: false, sinceNs: undefined };
  const signal = new AbortController().signal;
  for await (const entry of run.log.read({ ...options, untilNs: undefined, tailLines, signal })) {
    pieces.push(entry.bytes);
  }
  return Buffer.concat(pieces).toString("utf8");
}

describe("much output", () => {
  const LINES = 200_000;
  const wantedDigest = createHash("sha256")
    .update(Array.from({ length: LINES }, (_, index) => `line number ${index + 1}\n`).join(""))
    .digest("hex");
  const script = `seq 1 ${LINES} | sed 's/^/line number /'`;

  test("rotation under full output loses and doubles nothing, followers included", async () => {
    const limits = { segmentBytesMax: 1_000_000, segmentsMax: 100, compress: true };
    const run = await bench.run(["sh", "-c", script], { limits });
    const follow = createHash("sha256");
    let followed = 0;
    const following = (async () => {
      const options = { stdout: true, stderr: true, sinceNs: undefined, untilNs: undefined };
      const signal = new AbortController().signal;
      for await (const { bytes } of run.log.read({
        ...options,
        follow: true,
        tailLines: undefined,
        signal,
      })) {
        follow.update(bytes);
        followed += bytes.byteLength;
      }
    })();
    let over = false;
    const rotating = (async () => {
      while (!over) {
        await run.log.rotateIfNeeded(run.paths.bundleDir);
        await Bun.sleep(2);
      }
    })();
    await run.finish();
    over = true;
    await rotating;
    await following;
    const files = readdirSync(run.paths.logPath.replace(/\/[^/]*$/, ""));
    expect(files.filter((name) => name.endsWith(".gz")).length).toBeGreaterThan(2);
    expect(files.filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(
      createHash("sha256")
        .update(await logText(run))
        .digest("hex"),
    ).toBe(wantedDigest);
    expect([followed, follow.digest("hex")]).toEqual([followed, wantedDigest]);
    expect((await logText(run, 3)).split("\n").slice(0, 3)).toEqual([
      `line number ${LINES - 2}`,
      `line number ${LINES - 1}`,
      `line number ${LINES}`,
    ]);
    const many = (await logText(run, 60_000)).split("\n");
    expect([many.length, many[0]]).toEqual([60_001, `line number ${LINES - 59_999}`]);
  }, 60_000);

  test("a lagging client gets every byte and slows nobody", async () => {
    const slow = createHash("sha256");
    let slowBytes = 0;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const done = Promise.withResolvers<void>();
    const client: StdioClient = {
      stdout: true,
      stderr: false,
      write: async (_, bytes) => {
        await gate;
        slow.update(bytes);
        slowBytes += bytes.byteLength;
      },
      end: () => done.resolve(),
    };
    const limits = { segmentBytesMax: 1_000_000, segmentsMax: 3, compress: true };
    const run = await bench.run(["sh", "-c", `${script}; echo e >&2`], {
      limits,
      before: ({ hub }) => void hub.attach(client),
    });
    let over = false;
    const rotating = (async () => {
      while (!over) {
        await run.log.rotateIfNeeded(run.paths.bundleDir);
        await Bun.sleep(2);
      }
    })();
    // The container ends while one client has taken nothing at all.
    const exit = await bench.monitor.waitExit(run.id, run.handle, run.paths);
    expect(exit.exitCode).toBe(0);
    release();
    await done.promise;
    over = true;
    await rotating;
    expect(slow.digest("hex")).toBe(wantedDigest);
    expect(createHash("sha256").update(run.output.text()).digest("hex")).toBe(wantedDigest);
    expect(slowBytes).toBe(Buffer.byteLength(run.output.text()));
    await run.finish();
  }, 60_000);

  test("a log that is full of what its peer did not take holds the container back", async () => {
    const run = await bench.run(["sh", "-c", "head -c 4000000 /dev/zero; echo end >&2"], {
      before: ({ log }) => {
        (log.spool as { full: boolean }).full = true;
      },
    });
    await Bun.sleep(200);
    expect(run.output.text().length).toBeLessThan(4_000_000);
    expect(run.output.text("stderr")).toBe("");
    (run.log.spool as { full: boolean }).full = false;
    run.log.spool.onFullChanged();
    await run.finish();
    expect(run.output.text().length).toBe(4_000_000);
    expect(run.output.text("stderr")).toBe("end\n");
  }, 60_000);

  test("without a log a client that does not read holds the container back, and loses nothing", async () => {
    const run = await bench.run(["sh", "-c", "read x; head -c 8000000 /dev/zero; echo end >&2"], {
      stdin: "open",
    });
    run.hub.close();
    const hub = await connectStdio(run.paths.bundleDir, {
      terminal: false,
      stdin: "open",
      log: undefined,
      logger: silentLogger,
    });
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let bytesSeen = 0;
    let errors = "";
    hub.attach({
      stdout: true,
      stderr: true,
      write: async (stream, bytes) => {
        if (stream === "stderr") errors += Buffer.from(bytes).toString();
        await gate;
        if (stream === "stdout") bytesSeen += bytes.byteLength;
      },
      end: () => undefined,
    });
    await hub.writeStdin(Buffer.from("go\n"));
    await Bun.sleep(300);
    expect(await bench.monitor.isRunning(run.handle)).toBe(true);
    expect(errors).toBe("");
    release();
    await hub.ended;
    await eventually(() => errors === "end\n", "stderr");
    expect(bytesSeen).toBe(8_000_000);
    await run.finish();
  });
});
