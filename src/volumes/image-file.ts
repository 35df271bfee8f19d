import { rmdirSync } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { errorCode, NaruError } from "../base/mod.ts";
import { attachLoop, mountSlowly } from "../linux/mod.ts";
import type { ImageFileSystem } from "./local-options.ts";

/*
 * A volume whose size is enforced on any file system: a sparse file with a file system of its own.
 * It takes on the host what is written into it, never more than its size.
 */

const COMMANDS: Readonly<Record<ImageFileSystem, readonly string[]>> = {
  // No blocks kept for root, nothing written beforehand that can be written later.
  ext4: ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,nodiscard"],
  xfs: ["mkfs.xfs", "-q", "-f", "-K"],
};
const PACKAGES: Readonly<Record<ImageFileSystem, string>> = { ext4: "e2fsprogs", xfs: "xfsprogs" };

/** Makes the file, whole or not at all. Throws unsupported without the program, exhausted. */
export async function makeImage(
  path: string,
  request: { readonly fileSystem: ImageFileSystem; readonly sizeBytes: number },
): Promise<void> {
  const { fileSystem, sizeBytes } = request;
  const making = `${path}.making`;
  const file = await open(making, "w", 0o600);
  try {
    await file.truncate(sizeBytes);
    await file.close();
    await format(fileSystem, making);
    await rename(making, path);
  } catch (error) {
    await rm(making, { force: true });
    if (errorCode(error) === "EFBIG") {
      throw new NaruError("invalid_argument", `invalid size: ${sizeBytes}`, {}, { cause: error });
    }
    throw error;
  }
}

async function format(fileSystem: ImageFileSystem, path: string): Promise<void> {
  const [program = "", ...args] = COMMANDS[fileSystem];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
  const found = Bun.which(program, { PATH: env.PATH });
  if (found === null) {
    throw new NaruError(
      "unsupported",
      `${program} is not installed; install the Debian package ${PACKAGES[fileSystem]}`,
    );
  }
  const child = Bun.spawn([found, ...args, path], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env,
  });
  const message = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) {
    throw new NaruError("internal", `${program}: ${message.split("\n")[0] ?? ""}`);
  }
}

/** Mounts the file at `target`; unmounting it lets go of the loop device too. */
export async function mountImage(
  path: string,
  request: {
    readonly fileSystem: string;
    readonly target: string;
    readonly flags: number;
    readonly data: string;
  },
): Promise<void> {
  const { fileSystem: type, target, flags, data: options } = request;
  using device = attachLoop(path);
  await mountSlowly({ source: device.path, target, type, flags, options });
  try {
    // An empty volume is empty: programs and copy-up look for that. fsck makes it again.
    rmdirSync(`${target}/lost+found`);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EROFS", "ENOTDIR"].includes(errorCode(error) ?? "")) throw error;
  }
}

/** Bytes that the file takes on the host. */
export async function imageUsageBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}
