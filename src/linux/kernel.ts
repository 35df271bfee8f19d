import { existsSync, readFileSync } from "node:fs";
import { addressOf, check, libc } from "./libc.ts";
import { overlayHasLowerdirPlus } from "./overlay.ts";

/** @see uname(2) */
export interface KernelName {
  readonly release: string;
  readonly version: string;
  readonly machine: string;
}

const FIELD_BYTES = 65; // struct utsname: six texts of this size

export function kernelName(): KernelName {
  const bytes = Buffer.alloc(6 * FIELD_BYTES);
  check("uname", libc().uname(addressOf(bytes)));
  const field = (index: number): string => {
    const start = index * FIELD_BYTES;
    return bytes.toString("latin1", start, bytes.indexOf(0, start));
  };
  return { release: field(2), version: field(3), machine: field(4) };
}

/** Is `release` (`6.1.0-18-amd64`) at least `major.minor`? */
export function kernelAtLeast(release: string, major: number, minor: number): boolean {
  const [have = 0, haveMinor = 0] = release.split(/[.-]/, 2).map(Number);
  return have > major || (have === major && haveMinor >= minor);
}

/** What this kernel, as it is configured and booted, can do. */
export interface KernelFeatures {
  readonly overlay: boolean;
  readonly overlayLowerdirPlus: boolean;
  /** Overlay on id-mapped lower layers. */
  readonly overlayIdmappedLower: boolean;
  readonly seccomp: boolean;
  readonly appArmor: boolean;
  readonly seLinux: boolean;
  readonly userNamespaces: boolean;
  readonly ipv6: boolean;
  /** br_netfilter is loaded: traffic within one bridge passes the forward hook. */
  readonly bridgeNetfilter: boolean;
}

export function kernelFeatures(): KernelFeatures {
  const { release } = kernelName();
  return {
    overlay: /\toverlay$/m.test(text("/proc/filesystems") ?? ""),
    overlayLowerdirPlus: overlayHasLowerdirPlus(),
    overlayIdmappedLower: kernelAtLeast(release, 5, 19),
    seccomp: existsSync("/proc/sys/kernel/seccomp/actions_avail"),
    appArmor: text("/sys/module/apparmor/parameters/enabled")?.trim() === "Y",
    seLinux: existsSync("/sys/fs/selinux/enforce"),
    userNamespaces:
      existsSync("/proc/self/ns/user") &&
      text("/proc/sys/user/max_user_namespaces")?.trim() !== "0",
    ipv6: existsSync("/proc/sys/net/ipv6"),
    bridgeNetfilter: existsSync("/proc/sys/net/bridge/bridge-nf-call-iptables"),
  };
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // a file that a kernel does not have is the answer "no"
  }
}
