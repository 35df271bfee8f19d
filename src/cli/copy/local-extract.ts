import { lstatSync } from "node:fs";
import { chmod, link, lutimes, mkdir, open, rm, symlink, unlink, utimes } from "node:fs/promises";
import { posix } from "node:path";
import { errorCode } from "../../base/mod.ts";
import { displayName, readTar, type TarEntry, utf8 } from "../../oci/mod.ts";
import { ExitError } from "../exit-error.ts";
import { type CopyPlan, renameEntry } from "./copy-path.ts";

const NS_PER_S = 1e9;

/**
 * Unpacks what an engine sent. Its names are not trusted: none leads out of the plan's folder, and
 * none goes through a link that the archive itself made. Everything belongs to who runs this.
 */
export async function extractLocally(
  archive: AsyncIterable<Uint8Array>,
  plan: CopyPlan,
  warn: (text: string) => void,
): Promise<void> {
  const writer = new LocalWriter(plan, warn);
  for await (const { entry, content } of readTar(archive)) await writer.write(entry, content);
  await writer.finish();
}

class LocalWriter {
  readonly #plan: CopyPlan;
  readonly #warn: (text: string) => void;
  readonly #links: Set<string> = new Set();
  readonly #folders: { path: string; entry: TarEntry }[] = [];

  constructor(plan: CopyPlan, warn: (text: string) => void) {
    this.#plan = plan;
    this.#warn = warn;
  }

  async write(entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#pathOf(entry.name);
    if (path === undefined) return;
    await mkdir(posix.dirname(path), { recursive: true });
    if (!(await this.#makeRoom(path, entry))) return;
    switch (entry.type) {
      case "directory":
        await mkdir(path);
        this.#folders.push({ path, entry });
        return;
      case "file":
        await writeFile(path, entry, content);
        return;
      case "symlink":
        await symlink(utf8(entry.linkName), path);
        this.#links.add(path);
        await lutimes(path, secondsOf(entry), secondsOf(entry));
        return;
      case "hardlink": {
        const target = this.#pathOf(entry.linkName);
        if (target === undefined) throw bad(entry, "a hard link to a directory");
        if (this.#links.has(target)) throw bad(entry, "a hard link to a symbolic link");
        await link(target, path);
        return;
      }
      case "char":
      case "block":
      case "fifo":
        this.#warn(`skipped ${path}: a ${entry.type === "fifo" ? "fifo" : "device"} is not copied`);
    }
  }

  async finish(): Promise<void> {
    for (const { path, entry } of this.#folders.reverse()) {
      await chmod(path, entry.mode & 0o7777);
      await utimes(path, secondsOf(entry), secondsOf(entry));
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
  async #makeRoom(path: string, entry: TarEntry): Promise<boolean> {
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
    await unlink(path);
    this.#links.delete(path);
    return true;
  }
}

async function writeFile(
  path: string,
  entry: TarEntry,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of content) {
      for (let at = 0; at < chunk.byteLength; ) {
        at += (await file.write(chunk, at)).bytesWritten;
      }
    }
    await file.chmod(entry.mode & 0o7777);
    await file.utimes(secondsOf(entry), secondsOf(entry));
  } catch (error) {
    await rm(path, { force: true }); // a part of a file looks like one
    throw error;
  } finally {
    await file.close();
  }
}

function secondsOf(entry: TarEntry): number {
  return Number(entry.mtimeNs) / NS_PER_S;
}

function bad(entry: TarEntry, what: string): ExitError {
  return new ExitError(1, `entry "${displayName(entry.name)}": ${what}`);
}
