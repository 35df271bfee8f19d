import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { HoldFailure } from "../netd/protocol.ts";

const PROCESSES_MAX = 5_000; // on larger hosts the answer is not worth the wait

/** `process 812 (nginx)`, or "" when nobody can be named. For messages: may be out of date at once. */
export function processWithPort({ protocol, port }: HoldFailure): string {
  try {
    const inodes = new Set(
      [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].flatMap((path) =>
        socketsOnPort(readIfThere(path), port),
      ),
    );
    if (inodes.size === 0) return "";
    return processWithSocket(inodes);
  } catch {
    return "";
  }
}

/** Inodes of the sockets bound to a local port, in the text of /proc/net/tcp and the like. */
export function socketsOnPort(text: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return text
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", remote = ""]) => local.endsWith(`:${hex}`) && remote.endsWith(":0000"))
    .map((fields) => fields[9] ?? "0")
    .filter((inode) => inode !== "0");
}

function processWithSocket(inodes: ReadonlySet<string>): string {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, PROCESSES_MAX)) {
    for (const target of descriptorsOf(pid)) {
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      return `process ${pid} (${readIfThere(`/proc/${pid}/comm`).trim()})`;
    }
  }
  return "";
}

function descriptorsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return ""; // closed while we looked
      }
    });
  } catch {
    return []; // it ended
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
