import { readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Clock, NaruError, newId, shortId } from "../base/mod.ts";
import { AT_FDCWD, RENAME_EXCHANGE, renameat2 } from "../linux/mod.ts";
import type {
  Volume,
  VolumeArchives,
  VolumeBackups,
  VolumePlace,
  VolumeService,
  VolumeStream,
  VolumeUsers,
} from "./contract.ts";
import { copyTree, syncFileSystem } from "./copy-tree.ts";
import { crashPoint } from "./crash-point.ts";
import { nameAfterTime, type SnapshotStore, snapshotBody } from "./snapshot-store.ts";
import { treeSizeBytes } from "./tree-size.ts";

/** Beside the data: a directory that is about to take its place, or has had it. */
export const EXCHANGED = ".exchanged-";

interface VolumeBackupOptions {
  readonly volumes: Omit<VolumeService, "backups">;
  readonly users: VolumeUsers;
  readonly archives: VolumeArchives;
  readonly clock: Clock;
  readonly store: SnapshotStore;
  /** A file beside the data of a volume, by its name. */
  readonly markOf: (volume: string) => string;
}

export function createVolumeBackups(options: VolumeBackupOptions): VolumeBackups {
  const { volumes, users, archives, clock, store } = options;

  /** Calls `use` with the volume mounted, whoever else uses it. */
  const withVolume = async <T>(name: string, use: (path: string) => Promise<T>): Promise<T> => {
    const user = `backup-${shortId(newId())}`;
    const path = await volumes.acquire(name, user);
    try {
      return await use(path);
    } finally {
      await volumes.release(name, user);
    }
  };

  /** Made anew, like the one that is gone. */
  const ensure = async (name: string, like: Volume | undefined): Promise<void> => {
    if (volumes.get(name) !== undefined) return;
    const { driver = "", labels = {} } = like ?? {};
    await volumes.create({ name, driver, options: like?.options ?? {}, labels });
  };

  return {
    async snapshot(name, { name: asked, pause }) {
      const nowNs = clock.nowNs();
      const wanted = asked === "" ? nameAfterTime(nowNs) : asked;
      return withVolume(name, async (path) => {
        const volume = volumes.get(name);
        if (volume === undefined) throw new NaruError("not_found", `get ${name}: no such volume`);
        const about = { version: 1, name: wanted, createdAtNs: nowNs.toString(), volume } as const;
        const record = await store.make(about, async (data) => {
          const copy = (): Promise<void> => copyTree(path, data, { live: !pause });
          await (pause ? users.whilePaused(name, copy) : copy());
          return treeSizeBytes(data);
        });
        return snapshotBody(record);
      });
    },
    list: async (volume) => (await store.list(volume)).map(snapshotBody),
    removeSnapshot: (volume, name) => store.remove(volume, name),
    async restore(name, snapshot) {
      const { volume } = await store.must(name, snapshot);
      await ensure(name, volume);
      const source = store.dataDir(name, snapshot);
      await volumes.exclusively(name, (place) =>
        replaceContent(place, options.markOf(name), (target) => copyTree(source, target)),
      );
    },
    async export(name, { snapshot }) {
      if (snapshot === "") return exportLive(options, name);
      await store.must(name, snapshot);
      return archives.pack(store.dataDir(name, snapshot));
    },
    async import(name, body, { replace }) {
      await ensure(name, undefined);
      await volumes.exclusively(name, async (place) => {
        if (!replace && (await readdir(place.path)).length > 0) {
          const message = `volume ${name} is not empty: ask for its content to be replaced`;
          throw new NaruError("conflict", message, { volume: name });
        }
        await replaceContent(place, options.markOf(name), (target) =>
          archives.unpack(target, body),
        );
      });
    },
  };
}

/** The volume as it is, held until the stream is closed. */
async function exportLive(
  { volumes, archives }: VolumeBackupOptions,
  name: string,
): Promise<VolumeStream> {
  const user = `backup-${shortId(newId())}`;
  const path = await volumes.acquire(name, user);
  try {
    const packed = await archives.pack(path);
    return {
      stream: packed.stream,
      close: async () => {
        await packed.close();
        await volumes.release(name, user);
      },
    };
  } catch (error) {
    await volumes.release(name, user);
    throw error;
  }
}

/**
 * Fills a directory beside the data and exchanges the two. A volume that is something mounted is
 * emptied and filled where it is, under a mark that keeps it from being used half full.
 */
async function replaceContent(
  place: VolumePlace,
  mark: string,
  fill: (target: string) => Promise<void>,
): Promise<void> {
  const { path } = place;
  if (!place.isDirectory) {
    await writeFile(mark, "");
    for (const name of await readdir(path)) await rm(join(path, name), { recursive: true });
    await fill(path);
    await rm(mark, { force: true });
    return;
  }
  const other = join(dirname(path), `${EXCHANGED}${shortId(newId())}`);
  try {
    await place.makeBeside(other);
    await fill(other);
    await syncFileSystem(other);
    crashPoint("restore.before-exchange");
    renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_EXCHANGE);
    crashPoint("restore.after-exchange");
    await rm(join(dirname(path), "copying"), { force: true }); // what was half copied is gone
  } finally {
    await rm(other, { recursive: true, force: true });
  }
}
