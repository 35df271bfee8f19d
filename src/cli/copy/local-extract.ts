import {
  chmodSync,
  closeSync,
  fchmodSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { posix } from "node:path";
import { errorCode } from "../../base/mod.ts";
import { displayName, type TarEntry, type TarHandler, TarParser, utf8 } from "../../oci/mod.ts";
import { ExitError } from "../exit-error.ts";
import { type CopyPlan, renameEntry } from "./copy-path.ts";

const NS_PER_S = 1e9;

/**
 * Unpacks what an engine sent. Its names are not trusted: none leads out of the plan's folder, and
 * none goes through a link that the archive itself made. Everything belongs to who runs this.
 * Writing is synchronous: of many small files, each await would cost as much as the file.
 */
export async function extractLocally(
  archive: AsyncIterable<Uint8Array>,
  plan: CopyPlan,
  warn: (text: string) => void,
): Promise<void> {
  const writer = new LocalWriter(plan, warn);
  try {
    const parser = new TarParser(writer);
    for await (const chunk of archive) parser.push(chunk);
    parser.end();
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

interface OpenFile {
  readonly path: string;
  readonly fd: number;
  readonly entry: TarEntry;
}

class LocalWriter implements TarHandler {
  readonly #plan: CopyPlan;
  readonly #warn: (text: string) => void;
  readonly #links: Set<string> = new Set();
  readonly #folders: { path: string; entry: TarEntry }[] = [];
  #file: OpenFile | undefined;

  constructor(plan: CopyPlan, warn: (text: string) => void) {
    this.#plan = plan;
    this.#warn = warn;
  }

  entry(entry: TarEntry): void {
    const path = this.#pathOf(entry.name);
    if (path === undefined) return;
    mkdirSync(posix.dirname(path), { recursive: true });
    if (!this.#makeRoom(path, entry)) return;
    switch (entry.type) {
      case "directory":
        mkdirSync(path);
        this.#folders.push({ path, entry });
        return;
      case "file":
        this.#file = { path, fd: openSync(path, "wx", 0o600), entry };
        return;
      case "symlink":
        symlinkSync(utf8(entry.linkName), path);
        this.#links.add(path);
        lutimesSync(path, secondsOf(entry), secondsOf(entry));
        return;
      case "hardlink": {
        const target = this.#pathOf(entry.linkName);
        if (target === undefined) throw bad(entry, "a hard link to a directory");
        if (this.#links.has(target)) throw bad(entry, "a hard link to a symbolic link");
        linkSync(target, path);
        return;
      }
      case "char":
      case "block":
      case "fifo":
        this.#warn(`skipped ${path}: a ${entry.type === "fifo" ? "fifo" : "device"} is not copied`);
    }
  }

  data(bytes: Uint8Array, offset: number): void {
    if (this.#file === undefined) return;
    for (let at = 0; at < bytes.byteLength; ) {
      at += writeSync(this.#file.fd, bytes, at, bytes.byteLength - at, offset + at);
    }
  }

  entryEnd(): void {
    if (this.#file === undefined) return;
    const { fd, entry } = this.#file;
    if (entry.sparse) ftruncateSync(fd, entry.sizeBytes); // a hole at the end
    fchmodSync(fd, entry.mode & 0o7777);
    futimesSync(fd, secondsOf(entry), secondsOf(entry));
    closeSync(fd);
    this.#file = undefined;
  }

  /** The file in the making goes: a part of a file looks like one. */
  abandon(): void {
    if (this.#file === undefined) return;
    closeSync(this.#file.fd);
    rmSync(this.#file.path, { force: true });
    this.#file = undefined;
  }

  finish(): void {
    for (const { path, entry } of this.#folders.reverse()) {
      chmodSync(path, entry.mode & 0o7777);
      utimesSync(path, secondsOf(entry), secondsOf(entry));
    }
  }

  /** Undefined for the folder itself. */
  #pathOf(name: string): string | undefined {
    const parts: string[] = [];
    for (const part of renameEntry(utf8(name), this.#plan.rename).split("/")) {
      if (part === "" || part === ".") continue;
      if (part === ".." || part.includes("\0")) {
        throw new ExitError(1, `entry "${displayName(name)}" leaves the folder that is copied to`);
      }
      parts.push(part);
    }
    if (parts.length === 0) return undefined;
    let path = this.#plan.folder;
    for (const part of parts) {
      if (this.#links.has(path)) {
        throw new ExitError(1, `entry "${displayName(name)}" goes through a link of the archive`);
      }
      path = posix.join(path, part);
    }
    return path;
  }

  /** False: the directory is there and stays. A directory and anything else never give way. */
  #makeRoom(path: string, entry: TarEntry): boolean {
    let isDirectory: boolean;
    try {
      isDirectory = lstatSync(path).isDirectory();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return true;
      throw error;
    }
    const wantsDirectory = entry.type === "directory";
    if (isDirectory && wantsDirectory) {
      this.#folders.push({ path, entry });
      return false;
    }
    if (isDirectory) {
      throw new ExitError(1, `cannot overwrite directory "${path}" with non-directory "${path}"`);
    }
    if (wantsDirectory) {
      throw new ExitError(1, `cannot overwrite non-directory "${path}" with directory "${path}"`);
    }
    unlinkSync(path);
    this.#links.delete(path);
    return true;
  }
}

function secondsOf(entry: TarEntry): number {
  return Number(entry.mtimeNs) / NS_PER_S;
}

function bad(entry: TarEntry, what: string): ExitError {
  return new ExitError(1, `entry "${displayName(entry.name)}": ${what}`);
}
