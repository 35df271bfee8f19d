import { randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { runOrThrow } from "../../scripts/program.ts";

/** What tests keep from run to run. */
export const TEST_CACHE: string = "/tmp/naru-test-cache";
const CACHE: string = join(TEST_CACHE, "vm");
const APT_LIMIT_MS = 120_000; // 70 MB from a slow mirror
const UNPACK_LIMIT_MS = 60_000; // 400 MB of modules on a busy disk

/** A kernel with its modules, as Debian ships it; nothing of it is installed on this host. */
export interface VmKernel {
  readonly image: string;
  /** The folder `/lib/modules/VERSION`, with module indexes. */
  readonly modules: string;
  /** As `uname -r` says it. */
  readonly version: string;
}

/**
 * The kernel of the package linux-image-amd64, fetched with apt-get once and kept. Throws when apt
 * does not know it or cannot fetch it.
 */
export async function debianKernel(): Promise<VmKernel> {
  const known = existsSync(CACHE) ? readdirSync(CACHE).find((name) => /^\d/.test(name)) : undefined;
  const version = known ?? (await fetchKernel());
  const folder = join(CACHE, version);
  return {
    image: join(folder, `boot/vmlinuz-${version}`),
    modules: join(folder, "lib/modules", version),
    version,
  };
}

async function fetchKernel(): Promise<string> {
  const depends = await runOrThrow(["apt-cache", "depends", "linux-image-amd64"], {
    limitMs: APT_LIMIT_MS,
  });
  const name = /Depends: (linux-image-(\d\S+))/.exec(depends);
  const version = name?.[2];
  if (name?.[1] === undefined || version === undefined) {
    throw new Error("apt does not know linux-image-amd64: run apt-get update");
  }
  const aside = join(CACHE, `.${randomUUID()}`);
  await mkdir(join(aside, "root"), { recursive: true });
  try {
    const quiet = ["-q", "-o", "APT::Sandbox::User=root"]; // its own user may not write here
    await runOrThrow(["apt-get", ...quiet, "download", name[1]], {
      cwd: aside,
      limitMs: APT_LIMIT_MS,
    });
    const deb = readdirSync(aside).find((file) => file.endsWith(".deb")) ?? "";
    const root = join(aside, "root");
    await runOrThrow(["dpkg", "-x", join(aside, deb), root], { limitMs: UNPACK_LIMIT_MS });
    await runOrThrow(["busybox", "depmod", "-b", root, version], { limitMs: UNPACK_LIMIT_MS });
    await rename(root, join(CACHE, version));
    return version;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
