import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isId } from "../base/mod.ts";
import { listMounts, mountsBelow, umountDetached } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import type { Volume } from "./contract.ts";
import { LOCAL_DRIVER, UNRECORDED } from "./local-driver.ts";
import { isLocalName } from "./name.ts";
import { finishMoves } from "./trash.ts";
import { EXCHANGED } from "./volume-backups.ts";

interface Options {
  readonly metadata: Metadata;
  readonly logger: Logger;
  readonly dir: string;
}

/**
 * Where something is written down about a volume's content, beside it: `copying` the image's files
 * into it is under way, or it holds an `unfinished` part of a backup.
 */
export function markOf(dir: string, volume: Volume, what: "copying" | "unfinished"): string {
  if (volume.driver === LOCAL_DRIVER) return join(dir, volume.name, what);
  return join(dir, `.${what}-${Buffer.from(volume.name).toString("hex")}`);
}

/** Directories that were to take the place of a volume's data, or had been in it. */
export async function sweepExchanged(dir: string, volumes: Iterable<Volume>): Promise<void> {
  for (const { name, driver } of volumes) {
    if (driver !== LOCAL_DRIVER) continue;
    const found = await readdir(join(dir, name)).catch(() => []);
    for (const one of found.filter((entry) => entry.startsWith(EXCHANGED))) {
      await rm(join(dir, name, one), { recursive: true, force: true });
    }
  }
}

/** Volumes that were mounted for containers which do not run any more. */
export function unmountUnheld({ dir, logger }: Options, held: ReadonlySet<string>): void {
  for (const { target } of mountsBelow(dir, listMounts())) {
    const name = target.slice(dir.length + 1).split("/")[0] ?? "";
    if (held.has(name)) continue;
    logger.info("unmounting a volume that nobody uses", { volume: name });
    umountDetached(target);
  }
}

/**
 * Directories without a row become volumes again, as in Docker: data is never deleted because a
 * database was lost or an older one was put back. Returns those, with their rows committed.
 */
export async function adoptStrays(
  options: Options,
  volumes: ReadonlyMap<string, Volume>,
): Promise<Volume[]> {
  const { dir, metadata, logger } = options;
  finishMoves(options, volumes);
  const adopted: Volume[] = [];
  for (const name of await readdir(dir)) {
    const path = join(dir, name);
    if (volumes.has(name) || !isLocalName(name)) continue;
    if (existsSync(join(path, UNRECORDED))) {
      await rm(path, { recursive: true, force: true }); // its create was never answered
      continue;
    }
    const data = await stat(join(path, "_data")).catch(() => undefined);
    if (data?.isDirectory() !== true) continue;
    adopted.push({
      version: 1,
      name,
      driver: LOCAL_DRIVER,
      createdAtNs: (BigInt(Math.trunc(data.mtimeMs)) * 1_000_000n).toString(),
      labels: {},
      anonymous: isId(name),
    });
  }
  if (adopted.length === 0) return adopted;
  const names = adopted.map(({ name }) => name).join(", ");
  logger.warn("directories without a record are volumes again", { names });
  await metadata.commit(adopted.map((value) => ({ table: "volumes", key: value.name, value })));
  return adopted;
}
