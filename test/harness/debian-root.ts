import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { CACHE } from "./rootfs.ts";

const execute = promisify(execFile);

/** A web server, a database and a shell, each with the libraries that it is linked with. */
const PACKAGES: readonly string[] = [
  ...["busybox-static", "nginx", "nginx-common", "redis-server", "redis-tools"],
  ...["libatomic1", "libc6", "libcap2", "libcrypt1", "libgcc-s1", "libgcrypt20", "libgpg-error0"],
  ...["libhiredis0.14", "libjemalloc2", "liblua5.1-0", "liblz4-1", "liblzf1", "liblzma5"],
  ...["libpcre2-8-0", "libssl3", "libstdc++6", "libsystemd0", "libzstd1", "lua-bitop"],
  ...["lua-cjson", "zlib1g"],
];

/**
 * A tar with nginx, redis and busybox, unpacked from Debian's packages without installing them on
 * this host. Undefined when apt cannot download them: skip by name then. Kept between runs.
 */
export async function debianRoot(): Promise<Uint8Array | undefined> {
  const path = join(CACHE, "debian-nginx-redis-1.tar"); // another number when the recipe changes
  if (!existsSync(path)) {
    const folder = await mkdtemp("/tmp/naru-debian-root-");
    try {
      await makeRoot(folder, path);
    } catch (error) {
      console.error(`no root from Debian's packages: ${String(error).slice(0, 500)}`);
      return undefined;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return await readFile(path);
}

async function makeRoot(folder: string, path: string): Promise<void> {
  const download = (): Promise<unknown> =>
    execute("apt-get", ["-q", "download", ...PACKAGES], { cwd: folder });
  await download().catch(async () => {
    await execute("apt-get", ["-q", "update"]); // no package lists yet, or old ones
    await download();
  });
  const root = join(folder, "root");
  for (const name of (await readdir(folder)).toSorted()) {
    if (name.endsWith(".deb")) await execute("dpkg-deb", ["-x", join(folder, name), root]);
  }
  for (const shell of ["sh", "sleep", "rm"]) {
    await execute("ln", ["-sf", "busybox", join(root, "bin", shell)]);
  }
  for (const name of ["run", "tmp"]) await mkdir(join(root, name), { recursive: true });
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
  const documents = ["doc", "man", "locale"].map((name) => join(root, "usr/share", name));
  await Promise.all(documents.map((each) => rm(each, { recursive: true, force: true })));
  const aside = `${path}.${randomUUID()}`; // test files run at the same time
  await mkdir(CACHE, { recursive: true });
  await execute("tar", ["-C", root, "--numeric-owner", "-cf", aside, "."]);
  await rename(aside, path);
}
