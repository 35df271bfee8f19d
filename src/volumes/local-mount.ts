import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { errorCode, errorMessage, NaruError } from "../base/mod.ts";
import { MS_BIND, MS_REC, MS_REMOUNT, mount, mountSlowly, umountDetached } from "../linux/mod.ts";
import type { LocalPlan } from "./local-options.ts";
import { shownName } from "./name.ts";

type MountPlan = LocalPlan & { readonly kind: "mount" };

/** File systems of a server, whose name the kernel cannot look up. */
const NETWORKED: ReadonlySet<string> = new Set(["nfs", "nfs4", "cifs", "smb3"]);

/** Finds the address of a host. */
export type LookUp = (host: string) => Promise<string>;

export const lookUpHost: LookUp = async (host) => (await lookup(host)).address;

/** Mounts what the options of a volume name. Throws in Docker's words, without any password. */
export async function mountPlan(
  plan: MountPlan,
  target: string,
  lookUp: LookUp = lookUpHost,
): Promise<void> {
  try {
    await mountIt(await withAddresses(plan, lookUp), target);
  } catch (cause) {
    const told = withoutPasswords(reasonOf(cause), plan.o);
    const what = `mount ${shownName(plan.device)}:${target}, data: ${withoutPasswords(plan.o, plan.o)}: ${told}`;
    throw new NaruError("invalid_argument", `failed to mount local volume: ${what}`, {
      ...(errorCode(cause) === undefined ? {} : { code: errorCode(cause) as string }),
    });
  }
}

async function mountIt(plan: ResolvedPlan, target: string): Promise<void> {
  const { type, device: source, flags, propagation, data: options } = plan;
  if ((flags & MS_BIND) !== 0) {
    mount({ source, target, flags: flags & (MS_BIND | MS_REC) });
    const rest = flags & ~(MS_BIND | MS_REC);
    if (rest !== 0)
      undoOnFailure(target, () =>
        mount({ source: "none", target, flags: MS_REMOUNT | MS_BIND | rest }),
      );
  } else if (type === "tmpfs") {
    mount({ source, target, type, flags, options });
  } else {
    await mountSlowly({ source, target, type, flags, options });
  }
  if (propagation !== 0)
    undoOnFailure(target, () => mount({ source: "none", target, flags: propagation }));
}

function undoOnFailure(target: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    umountDetached(target);
    throw error;
  }
}

interface ResolvedPlan {
  readonly type: string;
  readonly device: string;
  readonly flags: number;
  readonly propagation: number;
  readonly data: string;
}

/**
 * The kernel wants addresses where people write names: in `addr=` and, for cifs, in the device.
 * An `addr=` that is missing is taken from the device (`host:/path`, `//host/share`).
 */
export async function withAddresses(plan: MountPlan, lookUp: LookUp): Promise<ResolvedPlan> {
  const { type, device, flags } = plan;
  const resolved = { type, device, ...flags };
  if (!NETWORKED.has(type)) return resolved;
  const words = flags.data === "" ? [] : flags.data.split(",");
  const key = type.startsWith("nfs")
    ? "addr"
    : words.some((word) => word.startsWith("addr="))
      ? "addr"
      : "ip";
  const given = words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
  const host = given ?? hostOf(type, device);
  if (host === "") return resolved;
  const address = isIP(host) === 0 ? await lookUp(host) : host;
  const others = words.filter((word) => !word.startsWith(`${key}=`));
  return { ...resolved, data: [...others, `${key}=${address}`].join(",") };
}

function hostOf(type: string, device: string): string {
  if (type.startsWith("nfs")) {
    const bracketed = /^\[([^\]]+)\]:/.exec(device)?.[1];
    return bracketed ?? /^([^:/]+):/.exec(device)?.[1] ?? "";
  }
  return /^[/\\]{2}([^/\\]+)/.exec(device)?.[1] ?? "";
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENODEV: "no such device",
  EINVAL: "invalid argument",
  ENOTDIR: "not a directory",
  ENOTBLK: "block device required",
  EBUSY: "device or resource busy",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ETIMEDOUT: "connection timed out",
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
};

function reasonOf(error: unknown): string {
  return WORDS[errorCode(error) ?? ""] ?? errorMessage(error);
}

function withoutPasswords(text: string, o: string): string {
  let clean = text;
  for (const word of o.split(",")) {
    const secret = /^(?:password|pass)=(.+)$/.exec(word)?.[1];
    if (secret !== undefined) clean = clean.replaceAll(secret, "********");
  }
  return clean;
}
