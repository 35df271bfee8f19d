import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { detectCgroups, groupDirs, listMounts, mountsBelow } from "../linux/mod.ts";
import type { EnginePlaces, Leak } from "./leak.ts";
import type { Records } from "./records.ts";

/** Mounts below either root that belong to no active container and no recorded endpoint. */
export function probeMounts(places: EnginePlaces, records: Records): Leak[] {
  const mounts = listMounts();
  const netns = new Set(records.endpoints.map(({ netnsPath }) => netnsPath));
  return (
    [places.execRoot, places.dataRoot]
      .flatMap((root) => mountsBelow(root, mounts))
      .filter(({ target }) => !netns.has(target) && !isActiveBundle(target, places, records))
      // Read-only mounts of the OCI runtimes' programs: one each, for the engine and its containers.
      .filter(({ target }) => !target.startsWith(`${places.execRoot}/programs/`))
      .map(({ target, type }) => ({
        kind: type === "nsfs" ? "namespace" : "mount",
        subject: target,
        reason: `${type} mount of no running container`,
      }))
  );
}

function isActiveBundle(path: string, places: EnginePlaces, records: Records): boolean {
  const prefix = `${places.execRoot}/bundles/`;
  const id = path.startsWith(prefix) ? (path.slice(prefix.length).split("/")[0] ?? "") : "";
  return records.containers.get(id)?.active === true;
}

/** Host ends of veth pairs, and bridges, with this engine's mark that no row names. */
export function probeLinks(records: Records): Leak[] {
  if (records.engineShortName === "") return [];
  const known = new Set(records.endpoints.map(({ hostLink }) => hostLink));
  const names = readdirSync("/sys/class/net");
  const marked = (mark: string): string[] =>
    names.filter((name) => name.startsWith(`${mark}${records.engineShortName}`));
  const links = marked("nv").filter((name) => !known.has(name));
  const bridges = marked("nb").filter((name) => !records.networkLinks.has(name));
  return [
    ...links.map((subject): Leak => ({ kind: "link", subject, reason: "link of no endpoint" })),
    ...bridges.map((subject): Leak => ({ kind: "link", subject, reason: "bridge of no network" })),
  ];
}

/** Cgroups below the engine's own parent whose container does not run. */
export function probeCgroups(records: Records): Leak[] {
  if (records.engineShortName === "") return [];
  const host = detectCgroups();
  const parents = [`/naru/${records.engineShortName}`, `/naru${records.engineShortName}.slice`];
  const dirs = new Set(parents.flatMap((parent) => groupDirs(host, parent)));
  return [...dirs].flatMap((dir) =>
    directoriesIn(dir)
      .filter((name) => records.containers.get(containerIdOf(name))?.active !== true)
      .filter((name) => name !== "monitors")
      .map(
        (name): Leak => ({
          kind: "cgroup",
          subject: `${dir}/${name}`,
          reason: "cgroup of no running container",
        }),
      ),
  );
}

/** `<id>` under cgroupfs, `naru-<id>.scope` under systemd, `libpod-…` never. */
function containerIdOf(name: string): string {
  return /[0-9a-f]{64}/.exec(name)?.[0] ?? name;
}

function directoriesIn(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return []; // it went away while we looked
  }
}

/** Monitors that were started from this engine's run root for a container that does not run. */
export function probeProcesses(places: EnginePlaces, records: Records): Leak[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid): Leak[] => {
      const words = commandLine(pid);
      const bundle = wordAfter(words, "-b");
      if (!(words[0] ?? "").endsWith("conmon") || !bundle.startsWith(`${places.execRoot}/`))
        return [];
      const id = wordAfter(words, "-c");
      if (records.containers.get(id)?.active === true) return [];
      return [
        {
          kind: "process",
          subject: `conmon ${pid}`,
          reason: `monitor of container ${id}, which does not run`,
        },
      ];
    });
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // the process ended
  }
}

function wordAfter(words: readonly string[], flag: string): string {
  const index = words.indexOf(flag);
  return index < 0 ? "" : (words[index + 1] ?? "");
}

/**
 * Descriptors that a running engine holds on files of its roots which are deleted or belong to a
 * container that is gone. Nothing when no engine runs.
 */
export function probeDescriptors(places: EnginePlaces, records: Records): Leak[] {
  const pid = enginePid(places);
  if (pid === undefined) return [];
  const roots = [places.execRoot, places.dataRoot];
  return descriptorTargets(pid).flatMap(([fd, target]): Leak[] => {
    if (!roots.some((root) => target.startsWith(`${root}/`))) return [];
    const id = /[0-9a-f]{64}/.exec(target)?.[0];
    const isBlob = target.startsWith(`${places.dataRoot}/blobs/`);
    const orphan = id !== undefined && !isBlob && !records.containers.has(id);
    if (!orphan && !target.endsWith(" (deleted)")) return [];
    return [
      { kind: "descriptor", subject: `${fd} of process ${pid}`, reason: `open on ${target}` },
    ];
  });
}

function enginePid(places: EnginePlaces): number | undefined {
  try {
    const pid = Number(readFileSync(`${places.dataRoot}/engine.lock`, "utf8").trim());
    const words = commandLine(String(pid));
    return pid > 0 && words.includes(places.dataRoot) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function descriptorTargets(pid: number): [fd: string, target: string][] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd): [string, string][] => {
      try {
        return [[fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]];
      } catch {
        return []; // closed while we looked
      }
    });
  } catch {
    return [];
  }
}
