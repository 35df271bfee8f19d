import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { BUSYBOX } from "../../scripts/base-image.ts";
import { runOrThrow, runProgram } from "../../scripts/program.ts";
import { ROOT } from "../harness/program.ts";
import { debianKernel, TEST_CACHE, type VmKernel } from "./kernel.ts";

const QEMU = "qemu-system-x86_64";
const MEMORY_MIB = 2048; // the roots of the engine are on its tmpfs
const PACK_LIMIT_MS = 20_000;

/** What the first process needs before it can see the host's files; the order is theirs to load. */
const BOOT_MODULES: readonly string[] = [
  "kernel/drivers/virtio/virtio_ring.ko",
  "kernel/drivers/virtio/virtio.ko",
  "kernel/drivers/virtio/virtio_pci_legacy_dev.ko",
  "kernel/drivers/virtio/virtio_pci_modern_dev.ko",
  "kernel/drivers/virtio/virtio_pci.ko",
  "kernel/fs/netfs/netfs.ko",
  "kernel/fs/fscache/fscache.ko",
  "kernel/net/9p/9pnet.ko",
  "kernel/net/9p/9pnet_virtio.ko",
  "kernel/fs/9p/9p.ko",
  "kernel/fs/overlayfs/overlay.ko",
];

/** Folders of this host that the machine sees wherever they are, under /tmp too. */
const SHARED: readonly string[] = [ROOT, TEST_CACHE];

/** How a machine ended. */
export interface VmResult {
  /** What its console showed. */
  readonly console: string;
  /** What the commands wrote to /dev/ttyS1. */
  readonly report: string;
}

/** Why this host cannot run a virtual machine, or undefined. */
export function vmObstacle(): string | undefined {
  if (process.arch !== "x64") return "the machine is made for x86_64";
  if (Bun.which(QEMU) === null) return "qemu is not installed (Debian package qemu-system-x86)";
  if (!existsSync(BUSYBOX)) return "busybox-static is not installed";
  return undefined;
}

/**
 * Boots Debian's kernel over this host's files, read-only under a tmpfs, runs `script` there as
 * root under /bin/sh, and powers off. Throws when it takes longer than `limitMs`.
 */
export async function runInVm(script: string, limitMs: number): Promise<VmResult> {
  const kernel = await debianKernel();
  const folder = await mkdtemp("/tmp/naru-vm-");
  try {
    await packInitramfs(folder, kernel, script);
    const consolePath = join(folder, "console");
    const reportPath = join(folder, "report");
    const ended = await runProgram(
      [QEMU, ...qemuArguments(kernel, { folder, consolePath, reportPath })],
      { limitMs },
    );
    const console = `${await textOf(consolePath)}${ended.output}`;
    if (ended.timedOut) throw new Error(`the machine took over ${limitMs} ms\n${console}`);
    return { console, report: await textOf(reportPath) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function textOf(path: string): Promise<string> {
  return existsSync(path) ? (await readFile(path, "utf8")).replaceAll("\r\n", "\n") : "";
}

function qemuArguments(
  kernel: VmKernel,
  places: { readonly folder: string; readonly consolePath: string; readonly reportPath: string },
): readonly string[] {
  const share = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
  return [
    ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"],
    ...["-smp", "2", "-m", String(MEMORY_MIB), "-nodefaults", "-no-reboot", "-display", "none"],
    ...["-kernel", kernel.image, "-initrd", join(places.folder, "initramfs")],
    ...["-append", "console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1"],
    ...["-serial", `file:${places.consolePath}`, "-serial", `file:${places.reportPath}`],
    ...["-virtfs", share],
  ];
}

/** busybox, the modules for the way to the host's files, init.sh and what to run. */
async function packInitramfs(folder: string, kernel: VmKernel, script: string): Promise<void> {
  const root = join(folder, "root");
  for (const name of ["bin", "dev", "host", "fresh", "modules", "new", "proc", "sys"]) {
    await mkdir(join(root, name), { recursive: true });
  }
  await copyFile(BUSYBOX, join(root, "bin/busybox"));
  for (const path of BOOT_MODULES) {
    await copyFile(join(kernel.modules, path), join(root, "modules", basename(path)));
  }
  await writeFile(
    join(root, "modules.list"),
    BOOT_MODULES.map((path) => basename(path)).join("\n"),
  );
  await writeFile(join(root, "modules.folder"), kernel.modules);
  await writeFile(join(root, "shared.list"), SHARED.map((path) => `${path}\n`).join(""));
  await writeFile(join(root, "tests.sh"), script);
  await copyFile(join(import.meta.dir, "init.sh"), join(root, "init"));
  for (const name of ["bin/busybox", "init"]) await chmod(join(root, name), 0o755);
  const pack = 'cd "$1" && find . | busybox cpio -o -H newc > ../initramfs';
  await runOrThrow(["sh", "-c", pack, "sh", root], { limitMs: PACK_LIMIT_MS });
}
