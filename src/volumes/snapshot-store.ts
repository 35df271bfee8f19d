import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, formatTimestamp, NaruError, newId, shortId } from "../base/mod.ts";
import type { VolumeSnapshot } from "../spec/mod.ts";
import type { Volume } from "./contract.ts";
import { syncFileSystem } from "./copy-tree.ts";
import { crashPoint } from "./crash-point.ts";
import { isLocalName, shownName } from "./name.ts";

/** What is written beside the files of a snapshot. */
export interface SnapshotRecord {
  readonly version: 1;
  readonly name: string;
  readonly createdAtNs: string;
  readonly sizeBytes: number;
  /** As it was: a volume that is gone is made anew from this. */
  readonly volume: Volume;
}

const MAKING = ".making-";
const ABOUT = "about.json";
const DATA = "_data";

/**
 * Snapshots as directories, `VOLUME/NAME/{_data,about.json}`. One is built under another name and
 * renamed when it is whole and on disk, so that what has a name is a snapshot.
 */
export class SnapshotStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  dataDir(volume: string, name: string): string {
    return join(this.#folder(volume), checkedName(name), DATA);
  }

  /** Throws conflict when the name is taken. */
  async make(
    record: Omit<SnapshotRecord, "sizeBytes">,
    fill: (dataDir: string) => Promise<number>,
  ): Promise<SnapshotRecord> {
    const { name, volume } = record;
    if ((await this.find(volume.name, name)) !== undefined) throw taken(volume.name, name);
    const making = join(this.#dir, `${MAKING}${shortId(newId())}`);
    try {
      const data = join(making, DATA);
      await mkdir(data, { recursive: true, mode: 0o700 });
      const whole: SnapshotRecord = { ...record, sizeBytes: await fill(data) };
      await writeFile(join(making, ABOUT), JSON.stringify(whole));
      await syncFileSystem(making);
      await mkdir(this.#folder(volume.name), { recursive: true, mode: 0o700 });
      crashPoint("snapshot.before-rename");
      await rename(making, join(this.#folder(volume.name), name));
      crashPoint("snapshot.after-rename");
      return whole;
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      if (["EEXIST", "ENOTEMPTY"].includes(errorCode(error) ?? "")) throw taken(volume.name, name);
      throw error;
    }
  }

  async find(volume: string, name: string): Promise<SnapshotRecord | undefined> {
    try {
      const path = join(this.#folder(volume), checkedName(name), ABOUT);
      return JSON.parse(await readFile(path, "utf8")) as SnapshotRecord;
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
      throw error;
    }
  }

  /** Throws not_found. */
  async must(volume: string, name: string): Promise<SnapshotRecord> {
    const found = await this.find(volume, name);
    if (found !== undefined) return found;
    const message = `no such snapshot of volume ${shownName(volume)}: ${shownName(name)}`;
    throw new NaruError("not_found", message, { volume, snapshot: name });
  }

  /** The newest first. */
  async list(volume: string): Promise<SnapshotRecord[]> {
    const volumes = volume === "" ? await namesIn(this.#dir) : [volume];
    const found: SnapshotRecord[] = [];
    for (const one of volumes.filter(isLocalName)) {
      for (const name of (await namesIn(this.#folder(one))).filter(isLocalName)) {
        const record = await this.find(one, name);
        if (record !== undefined) found.push(record);
      }
    }
    return found.sort((a, b) => (BigInt(a.createdAtNs) < BigInt(b.createdAtNs) ? 1 : -1));
  }

  /** It is no snapshot any more at once; its files go after that. */
  async remove(volume: string, name: string): Promise<void> {
    await this.must(volume, name);
    const going = join(this.#dir, `${MAKING}${shortId(newId())}`);
    await rename(join(this.#folder(volume), name), going);
    await rmdir(this.#folder(volume)).catch(() => undefined); // others are in it
    await rm(going, { recursive: true, force: true });
  }

  /** What a killed engine was making or removing. */
  async sweep(): Promise<void> {
    for (const name of await namesIn(this.#dir)) {
      if (name.startsWith(MAKING))
        await rm(join(this.#dir, name), { recursive: true, force: true });
    }
  }

  #folder(volume: string): string {
    return join(this.#dir, checkedName(volume));
  }
}

export function snapshotBody(record: SnapshotRecord): VolumeSnapshot {
  return {
    Volume: record.volume.name,
    Name: record.name,
    CreatedAt: formatTimestamp(BigInt(record.createdAtNs)),
    Size: record.sizeBytes,
  };
}

/** `20260131T235959Z` */
export function nameAfterTime(nowNs: bigint): string {
  return formatTimestamp(nowNs).slice(0, 19).replace(/[-:]/g, "").concat("Z");
}

function checkedName(name: string): string {
  if (isLocalName(name)) return name;
  throw new NaruError(
    "invalid_argument",
    `invalid name "${shownName(name)}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}

function taken(volume: string, name: string): NaruError {
  return new NaruError("conflict", `volume ${volume} has a snapshot named ${name} already`);
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []); // never made
}
