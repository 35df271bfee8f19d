/** The image store: damage is found and mended from the registry, full disks harm nothing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import {
  type DebianRegistry,
  debianRegistryProgram,
  startDebianRegistry,
} from "../harness/debian-registry.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { type FaultProxy, startFaultProxy } from "../harness/fault-proxy.ts";
import { fileLayer, makeImage, noise, putImage } from "../harness/registry-image.ts";

const TEST_TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
const image = makeImage([fileLayer("a", noise(500_000, "store a")), fileLayer("b", "b")]);

let registry: DebianRegistry;
let proxy: FaultProxy;

function blobFile(engine: TestEngine, digest: string): string {
  return join(engine.dataRoot, "blobs/sha256", digest.replace("sha256:", ""));
}

const able = privileged() && debianRegistryProgram() !== undefined;
if (!able) console.warn("skipped: needs root, crun, conmon and the package docker-registry");

describe.skipIf(!able)("the image store", () => {
  let engine: TestEngine;
  let name: string;

  beforeAll(async () => {
    registry = await startDebianRegistry();
    proxy = await startFaultProxy(registry.url);
    engine = await startEngine();
    await putImage(registry.url, "store/image", "v1", image);
    name = `${proxy.host}/store/image:v1`;
    await cliOk(engine, ["pull", "-q", name]);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await engine?.destroy();
    await Promise.all([proxy?.close(), registry?.close()]);
  }, TEST_TIMEOUT_MS);

  test("is all good after a pull", async () => {
    expect(await cliOk(engine, ["image", "verify"])).toMatch(/^4 blobs, .*: all good$/);
  });

  test("finds what is damaged or missing, and mends it from the registry", async () => {
    const [first, second] = image.layers;
    const damaged = [first?.digest ?? "", image.digest];
    const missing = [second?.digest ?? "", image.config.digest];
    for (const digest of damaged) writeFileSync(blobFile(engine, digest), "rotten");
    for (const digest of missing) rmSync(blobFile(engine, digest));
    const looked = await cli(engine, ["image", "verify", "--no-repair"]);
    expect(looked.exitCode).toBe(1);
    for (const digest of damaged) expect(looked.stdout).toContain(`${digest}: damaged`);
    for (const digest of missing) expect(looked.stdout).toContain(`${digest}: missing`);
    expect(looked.stdout).toContain(`needed by ${name}`);
    proxy.inject({ path: /./, fault: { kind: "status", status: 404 } });
    const cannot = await cli(engine, ["image", "verify"]);
    expect(cannot.exitCode).toBe(1);
    expect(cannot.stdout).toContain("not repaired");
    proxy.clear();
    const mended = await cliOk(engine, ["image", "verify"]);
    for (const digest of [...damaged, ...missing]) {
      expect(mended).toContain(`${digest}: repaired`);
    }
    expect(await cliOk(engine, ["image", "verify"])).toContain("all good");
  });

  test("says why each thing stays, and collects what nothing needs", async () => {
    const stray = "ab".repeat(32);
    writeFileSync(join(engine.dataRoot, "blobs/sha256", stray), "nobody's");
    const shown = await cliOk(engine, ["image", "gc", "--dry-run"]);
    expect(shown).toContain(`sha256:${stray}`);
    expect(shown).toMatch(new RegExp(`${stray}.* garbage`));
    for (const { digest } of [...image.layers, image.config]) {
      expect(shown).toMatch(new RegExp(`${digest} .*kept: image ${name}`));
    }
    expect(shown).toContain("would remove 1: 8B");
    // A pull that is under way, and one that was killed, hold on to what they have.
    const other = makeImage([
      fileLayer("c", noise(400_000, "c")),
      fileLayer("d", noise(9000, "d")),
    ]);
    await putImage(registry.url, "store/other", "v1", other);
    const [slow, quick] = other.layers;
    proxy.inject({
      path: new RegExp(slow?.digest ?? ""),
      fault: { kind: "stall", afterBytes: 100_000 },
    });
    const pull = cli(engine, ["pull", `${proxy.host}/store/other:v1`]);
    const quickFile = (quick?.digest ?? "").replace("sha256:", "");
    while (!readdirSync(join(engine.dataRoot, "blobs/sha256")).includes(quickFile)) {
      await Bun.sleep(10);
    }
    expect(await cliOk(engine, ["image", "gc"])).toStartWith("removed 1 blobs and 0 layers");
    const during = await cliOk(engine, ["image", "gc", "-n"]);
    expect(during).toMatch(new RegExp(`${quick?.digest}.* in use by a pull`));
    await engine.kill9();
    await pull;
    proxy.clear();
    await engine.start();
    const after = await cliOk(engine, ["image", "gc", "-n"]);
    expect(after).toMatch(new RegExp(`${quick?.digest}.* unfinished pull`));
    await cliOk(engine, ["image", "gc"]);
    await cliOk(engine, ["pull", "-q", `${proxy.host}/store/other:v1`]);
    expect(proxy.seen(new RegExp(quick?.digest ?? "-"), "GET")).toEqual([]);
  });
});

describe.skipIf(!able)("a full disk", () => {
  test(
    "ends a pull with a clear error, no damage, and the space given back",
    async () => {
      const registry = await startDebianRegistry();
      const engine = await startEngine();
      await engine.stop();
      rmSync(engine.dataRoot, { recursive: true });
      execFileSync("mkdir", [engine.dataRoot]);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", engine.dataRoot]);
      try {
        await engine.start();
        const free = (): number => {
          const { bavail, bsize } = statfsSync(engine.dataRoot);
          return bavail * bsize;
        };
        await putImage(registry.url, "full/small", "v1", image);
        await cliOk(engine, ["pull", "-q", `${registry.host}/full/small:v1`]);
        const before = free();
        const parts = ["x", "y", "z"].map((seed) => fileLayer(seed, noise(12 * MIB, seed)));
        await putImage(registry.url, "full/big", "v1", makeImage(parts));
        const failed = await cli(engine, ["pull", `${registry.host}/full/big:v1`]);
        expect(failed.exitCode).not.toBe(0);
        expect(failed.stderr).toContain("no space left");
        const deadlineMs = Date.now() + 10_000; // unpacked layers are freed in the background
        while (before - free() > MIB && Date.now() < deadlineMs) await Bun.sleep(50);
        expect(before - free()).toBeLessThan(MIB);
        expect(await cliOk(engine, ["image", "verify"])).toContain("all good");
        expect(await cliOk(engine, ["images", "-q"])).toHaveLength(12);
      } finally {
        await engine.stop();
        execFileSync("umount", ["-l", engine.dataRoot]);
        await engine.destroy();
        await registry.close();
      }
    },
    TEST_TIMEOUT_MS,
  );
});
