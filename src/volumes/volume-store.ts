import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { assert, type Clock, NaruError, newId } from "../base/mod.ts";
import type { Change, Metadata } from "../storage/mod.ts";
import type { PreparedVolume, Volume, VolumeStore } from "./contract.ts";
import { copyUp } from "./copy-up.ts";
import { treeSizeBytes } from "./tree-size.ts";

/** Docker's rule for names of local volumes. */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const NAME_BYTES_MAX = 255; // NAME_MAX: the name is a directory

export interface VolumeStoreOptions {
  readonly metadata: Metadata;
  /** `volumes/` under the data root. */
  readonly dir: string;
  readonly clock: Clock;
}

export function createVolumeStore(options: VolumeStoreOptions): VolumeStore {
  const volumes = new Map<string, Volume>();
  for (const [name, value] of options.metadata.rows("volumes")) volumes.set(name, value as Volume);
  const dirOf = (name: string): string => join(options.dir, name);
  const dataDir = (name: string): string => join(options.dir, name, "_data");
  const make = (
    name: string,
    about: { anonymous: boolean; labels: Readonly<Record<string, string>> },
  ): PreparedVolume => {
    const volume: Volume = {
      version: 1,
      name,
      driver: "local",
      createdAtNs: options.clock.nowNs().toString(),
      ...about,
    };
    return { volume, change: { table: "volumes", key: name, value: volume } };
  };
  const materialise = async (name: string): Promise<string> => {
    const dir = dataDir(name);
    await mkdir(dir, { recursive: true, mode: 0o755 });
    return dir;
  };

  return {
    get: (name) => volumes.get(name),
    all: () => volumes.values(),
    prepare(name, labels = {}) {
      checkVolumeName(name);
      const existing = volumes.get(name);
      if (existing !== undefined) return { volume: existing, change: undefined };
      return make(name, { anonymous: false, labels });
    },
    prepareAnonymous: (labels = {}) => make(newId(), { anonymous: true, labels }),
    adopt(prepared) {
      for (const { volume } of prepared) volumes.set(volume.name, volume);
    },
    dataDir,
    materialise,
    sizeBytes: (name) => treeSizeBytes(dataDir(name)),
    async copyUp(name, sourceDir) {
      await copyUp({ sourceDir, targetDir: await materialise(name), volumeDir: dirOf(name) });
    },
    removalChanges: (names) =>
      names.map((name): Change => ({ table: "volumes", key: name, value: undefined })),
    forget(names) {
      for (const name of names) volumes.delete(name);
    },
    async removeData(name) {
      checkVolumeName(name);
      assert(!volumes.has(name), `volume ${name} still has a row`);
      await rm(dirOf(name), { recursive: true, force: true });
    },
    async sweep() {
      const names = await readdir(options.dir).catch(() => []);
      for (const name of names) {
        if (VOLUME_NAME.test(name) && !volumes.has(name)) {
          await rm(dirOf(name), { recursive: true, force: true });
        }
      }
    },
  };
}

/** Throws invalid_argument in Docker's words. */
export function checkVolumeName(name: string): void {
  if (VOLUME_NAME.test(name) && Buffer.byteLength(name) <= NAME_BYTES_MAX) return;
  throw new NaruError(
    "invalid_argument",
    `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}
