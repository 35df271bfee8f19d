/**
 * Sizes of volumes and of what containers write, by project quotas, on file systems in files. Here because many kernels of virtual
 * hosts are built without quotas, and Debian's has them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isNaruError, MiB } from "../../../src/base/mod.ts";
import { directoryLimit, hasProjectQuota, statfs } from "../../../src/linux/mod.ts";
import { silentLogger } from "../../../src/observe/mod.ts";
import { openLayerStore, type WorkQueue } from "../../../src/storage/mod.ts";
import type { VolumeService } from "../../../src/volumes/mod.ts";
import { memoryMetadata } from "../../fakes/memory-metadata.ts";
import { rejection } from "../../fakes/rejection.ts";
import { fakeWork, recordingBus } from "../../fakes/rooms.ts";
import { testVolumes } from "../../fakes/volumes.ts";
import { privileged } from "../../harness/cli.ts";

const MAKE: Readonly<Record<string, readonly string[]>> = {
  ext4: ["mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota"],
  xfs: ["mkfs.xfs", "-q", "-f"],
};
const TEST_TIMEOUT_MS = 60_000; // emulation is some ten times slower than the host
const FILE_BYTES = 320 * MiB; // mkfs.xfs takes no less; the file is a hole

const request = (name: string, size: string) => ({
  ...{ name, driver: "", labels: {}, options: { size } },
});

const PLAIN_ROOT = ["--bounding-set", "-sys_resource"]; // as a container's; ext4 lets others pass

/** Does a container's root get to write so much? */
function fits(path: string, sizeMib: number): boolean {
  const dd = ["dd", "if=/dev/zero", `of=${path}`, "bs=1M", `count=${sizeMib}`, "conv=fsync"];
  const { status, stderr } = spawnSync("setpriv", [...PLAIN_ROOT, ...dd], { encoding: "utf8" });
  if (status !== 0 && !/No space left|quota exceeded/.test(stderr)) throw new Error(stderr);
  return status === 0;
}

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

async function writableLayers(places: {
  readonly root: string;
  readonly disk: string;
  readonly work: WorkQueue;
}): Promise<void> {
  const { root, disk, work } = places;
  const silent = { work, logger: silentLogger, metadata: memoryMetadata() };
  const layers = await openLayerStore({ root: join(disk, "layers"), ...silent });
  expect(layers.canLimitWritables()).toBe(true);
  await layers.createWritable("small", null, { sizeBytes: 4 * MiB });
  await layers.createWritable("free", null);
  for (const name of ["small", "free"]) await layers.mount(name, join(root, name));
  expect(fits(join(root, "small", "file"), 6)).toBe(false);
  expect(fits(join(root, "free", "file"), 6)).toBe(true);
  // Overlay renames from its work directory: both are of one project.
  renameSync(join(root, "free", "file"), join(root, "free", "renamed"));
  rmSync(join(root, "small", "file"));
  mkdirSync(join(root, "small", "folder"));
  renameSync(join(root, "small", "folder"), join(root, "small", "other"));
  expect(fits(join(root, "small", "file"), 3)).toBe(true);
  for (const name of ["small", "free"]) {
    await layers.unmount(join(root, name));
    await layers.removeWritable(name);
  }
  await work.idle();
  layers.close();
}

for (const [type, command] of Object.entries(MAKE)) {
  const [program = "", ...args] = command;
  const present = spawnSync(program, ["-V"]).error === undefined;
  if (!present) console.error(`SKIPPED sizes of volumes on ${type}: there is no ${program}`);
  describe.skipIf(!privileged() || !present)(`sizes on ${type}`, () => {
    let root: string;
    let disk: string;
    let volumes: VolumeService;
    const work = fakeWork();

    beforeAll(async () => {
      spawnSync("modprobe", ["loop"]);
      root = mkdtempSync("/tmp/naru-limits-");
      disk = join(root, "disk");
      mkdirSync(disk);
      writeFileSync(join(root, "file"), "");
      truncateSync(join(root, "file"), FILE_BYTES);
      execFileSync(program, [...args, join(root, "file")]);
      execFileSync("mount", ["-o", "loop,prjquota", join(root, "file"), disk]);
      const events = recordingBus([]);
      volumes = testVolumes({
        metadata: memoryMetadata(),
        work,
        events,
        dir: join(disk, "volumes"),
      });
      await volumes.recover();
    }, TEST_TIMEOUT_MS);
    afterAll(() => {
      execFileSync("umount", [disk]);
      rmSync(root, { recursive: true, force: true });
    });

    its("a volume holds no more than its size, and another one has its own", async () => {
      expect(hasProjectQuota(disk)).toBe(true);
      const one = (await volumes.create(request("one", "2m"))).Mountpoint;
      const two = (await volumes.create(request("two", "4m"))).Mountpoint;
      expect(fits(join(one, "file"), 3)).toBe(false);
      expect(fits(join(two, "file"), 3)).toBe(true);
      expect(statfs(two).totalBytes).toBe(4 * MiB); // what df shows
      expect(directoryLimit(two)).toMatchObject({ limitBytes: 4 * MiB });
    });

    its("a restore keeps the limit, and needs no room for both", async () => {
      const path = (await volumes.create(request("kept", "4m"))).Mountpoint;
      expect(fits(join(path, "file"), 3)).toBe(true);
      await volumes.backups.snapshot("kept", { name: "full", pause: false });
      await volumes.backups.restore("kept", "full");
      expect(readdirSync(path)).toEqual(["file"]);
      expect(directoryLimit(path)).toMatchObject({ limitBytes: 4 * MiB });
      expect(fits(join(path, "more"), 2)).toBe(false);
    });

    // What a container asks for by "HostConfig.StorageOpt".
    its("a container's writable layer holds no more than it was given", () =>
      writableLayers({ root, disk, work }),
    );

    its("a removed volume leaves no limit behind", async () => {
      const path = (await volumes.create(request("gone", "4m"))).Mountpoint;
      expect(directoryLimit(path)).toBeDefined();
      await volumes.remove("gone", { force: false });
      await work.idle();
      expect(work.pending()).toEqual([]);
      const free = await rejection(volumes.create(request("gone", "many")));
      expect(isNaruError(free, "invalid_argument")).toBe(true);
    });
  });
}
