import { readFileSync } from "node:fs";
import { addressOf, check, libc } from "./libc.ts";

/** Resource numbers of prlimit(2) by the names that Docker's ulimits use. */
export const RLIMITS: Readonly<Record<string, number>> = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
};

/** RLIM_INFINITY, as -1 in Docker's ulimits. */
export const UNLIMITED: bigint = 0xffff_ffff_ffff_ffffn;

export interface ResourceLimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** The limit `name` of a process (0: this one). */
export function getLimit(name: string, pid = 0): ResourceLimit | undefined {
  const resource = RLIMITS[name];
  if (resource === undefined) return undefined;
  const pair = new BigUint64Array(2);
  check("prlimit", libc().prlimit(pid, resource, null, addressOf(pair)), name);
  return { soft: pair[0] as bigint, hard: pair[1] as bigint };
}

const CAP_SYS_RESOURCE = 24n;

/** True when this process may raise hard limits. Some hosts withhold that even from root. */
export function mayRaiseLimits(): boolean {
  return hasCapability(CAP_SYS_RESOURCE);
}

/** True when capability `number` is in effect for this process. @see capabilities(7) */
function hasCapability(number: bigint): boolean {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"));
  return ((BigInt(`0x${line?.[1] ?? "0"}`) >> number) & 1n) === 1n;
}
