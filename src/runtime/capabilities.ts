import { NaruError } from "../base/mod.ts";

/** Every capability in the kernel's order, without `CAP_`. @see capabilities(7) */
const NAMES: readonly string[] = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
];

/** What a container may do unless told otherwise: Docker's fourteen. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

/** What this host can give at all. */
export interface HostCapabilities {
  /** /proc/sys/kernel/cap_last_cap: the highest number that the kernel knows. */
  readonly lastCapability: number;
  /** CapBnd of the engine: a hosted kernel may withhold some even from root. */
  readonly bounding: bigint;
}

/** Parses the kernel's two texts, `cap_last_cap` and `/proc/self/status`. */
export function parseHostCapabilities(lastCapText: string, statusText: string): HostCapabilities {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(statusText)?.[1];
  return {
    lastCapability: Number.parseInt(lastCapText, 10),
    bounding: bounding === undefined ? (1n << 64n) - 1n : BigInt(`0x${bounding}`),
  };
}

/** Every capability of this host, as `CAP_…`: what `ALL` and privileged mean. */
export function allCapabilities(host: HostCapabilities): string[] {
  return NAMES.filter((_, number) => isKnown(host, number)).map((name) => `CAP_${name}`);
}

/**
 * The capabilities of a container. Names come with or without `CAP_`, in any case; `ALL` in add or
 * drop. A name that does not exist, or that this kernel lacks, is invalid_argument when it is to be
 * added; defaults that the host withholds are left out.
 * @see moby: oci/caps, the same order of rules
 */
export function containerCapabilities(
  request: { readonly add: readonly string[]; readonly drop: readonly string[] },
  host: HostCapabilities,
): string[] {
  const all = allCapabilities(host);
  const add = request.add.map((name) => normalize(name, "CapAdd"));
  const drop = request.drop.map((name) => normalize(name, "CapDrop"));
  for (const name of add) {
    if (name !== "ALL" && !all.includes(name)) {
      throw new NaruError(
        "invalid_argument",
        `invalid CapAdd: capability not supported by your kernel or not available in the current environment: "${name}"`,
      );
    }
  }
  const dropped = new Set(drop);
  if (add.includes("ALL")) return all.filter((name) => !dropped.has(name));
  const base = dropped.has("ALL")
    ? []
    : DEFAULT_CAPABILITIES.filter((name) => !dropped.has(name) && all.includes(name));
  return [...new Set([...base, ...add])];
}

/** `CAP_NET_ADMIN` for `net_admin`; `ALL` stays. Throws invalid_argument in Docker's words. */
function normalize(name: string, field: string): string {
  const upper = name.trim().toUpperCase();
  if (upper === "ALL") return upper;
  const bare = upper.replace(/^CAP_/, "");
  if (!NAMES.includes(bare)) {
    throw new NaruError("invalid_argument", `invalid ${field}: unknown capability: "CAP_${bare}"`);
  }
  return `CAP_${bare}`;
}

function isKnown(host: HostCapabilities, number: number): boolean {
  return number <= host.lastCapability && ((host.bounding >> BigInt(number)) & 1n) === 1n;
}
