import { readFileSync, readlinkSync } from "node:fs";
import { errorCode } from "../base/mod.ts";

/** Time that all CPUs of the host have counted since boot, and how many there are. */
export interface HostCpu {
  readonly totalNs: number;
  readonly online: number;
}

const NS_PER_TICK = 10_000_000; // USER_HZ is 100
const COUNTED_FIELDS = 7; // user nice system idle iowait irq softirq: what Docker's clients expect

export function readHostCpu(): HostCpu {
  return parseProcStat(readFileSync("/proc/stat", "latin1"));
}

/** @see proc_stat(5) */
export function parseProcStat(text: string): HostCpu {
  let totalNs = 0;
  let online = 0;
  for (const line of text.split("\n", 8193)) {
    if (!line.startsWith("cpu")) break; // they come first
    if (line.startsWith("cpu ")) {
      const ticks = line
        .trim()
        .split(/\s+/)
        .slice(1, 1 + COUNTED_FIELDS);
      totalNs = ticks.reduce((sum, tick) => sum + Number(tick), 0) * NS_PER_TICK;
    } else online += 1;
  }
  return { totalNs, online };
}

/** Counters of one interface. @see proc_pid_net(5) */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** Interfaces of the network namespace of a process; undefined when it is gone. */
export function readInterfaces(pid: number): InterfaceCounters[] | undefined {
  try {
    return parseNetDev(readFileSync(`/proc/${pid}/net/dev`, "latin1"));
  } catch (error) {
    // EINVAL: a zombie has no namespace any more.
    if (["ENOENT", "ESRCH", "EINVAL"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

export function parseNetDev(text: string): InterfaceCounters[] {
  const interfaces: InterfaceCounters[] = [];
  for (const line of text.split("\n").slice(2)) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const counters = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    const at = (index: number): number => counters[index] ?? 0;
    interfaces.push({
      name: line.slice(0, colon).trim(),
      rxBytes: at(0),
      rxPackets: at(1),
      rxErrors: at(2),
      rxDropped: at(3),
      txBytes: at(8),
      txPackets: at(9),
      txErrors: at(10),
      txDropped: at(11),
    });
  }
  return interfaces;
}

/** Does the process share this one's network namespace? False when it is gone. */
export function sharesHostNetwork(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync("/proc/self/ns/net");
  } catch {
    return false;
  }
}
