import { readFile } from "node:fs/promises";
import { runOrThrow } from "./program.ts";
import { type TarEntry, tarArchive } from "./tar-writer.ts";

/** Where Debian's busybox-static puts its program. */
export const BUSYBOX: string = "/bin/busybox";

const BUSYBOX_LIST_LIMIT_MS = 10_000; // it prints a few kilobytes

const FOLDERS = ["bin", "dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "var", "var/log"];

const FILES: Readonly<Record<string, string>> = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\n" +
    "www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  "etc/group":
    "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwheel:x:10:root\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
  "etc/hostname": "naru\n",
  "etc/nsswitch.conf": "hosts: files dns\n",
  "etc/os-release": 'NAME="naru base"\nID=naru-base\nPRETTY_NAME="naru base (busybox)"\n',
};

/**
 * The file system of the first image as a tar archive: this host's static busybox with a link for
 * each of its applets, and the few files that programs expect. The same busybox gives the same
 * bytes. Throws when busybox-static is not installed.
 */
export async function busyboxRootfs(): Promise<Buffer> {
  const program = await readFile(BUSYBOX);
  const list = await runOrThrow([BUSYBOX, "--list"], { limitMs: BUSYBOX_LIST_LIMIT_MS });
  const applets = list.split("\n").filter((name) => name !== "" && name !== "busybox");
  const entries: TarEntry[] = [
    ...FOLDERS.map((path): TarEntry => ({ path, kind: "directory" })),
    { path: "root", kind: "directory", mode: 0o700 },
    { path: "tmp", kind: "directory", mode: 0o1777 },
    { path: "var/tmp", kind: "directory", mode: 0o1777 },
    { path: "bin/busybox", kind: "file", mode: 0o755, data: program },
    ...applets.toSorted().map(applet),
    { path: "usr/bin/env", kind: "symlink", target: "/bin/busybox" }, // for #!/usr/bin/env
    ...Object.entries(FILES).map(([path, data]): TarEntry => ({ path, kind: "file", data })),
  ];
  return tarArchive(entries);
}

function applet(name: string): TarEntry {
  return { path: `bin/${name}`, kind: "symlink", target: "busybox" };
}
