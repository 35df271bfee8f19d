import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { EnginePlaces, Leak } from "./leak.ts";
import type { Records } from "./records.ts";

/** Files and directories of either root that belong to nothing recorded. */
export function probeFiles(places: EnginePlaces, records: Records): Leak[] {
  const { dataRoot, execRoot } = places;
  const isKnown = (name: string): boolean => records.containers.has(name);
  const isActive = (name: string): boolean => records.containers.get(name)?.active === true;
  const netns = new Set(records.endpoints.map(({ netnsPath }) => netnsPath));
  const anyActive = [...records.containers.values()].some(({ active }) => active);
  return [
    ...strays(join(execRoot, "bundles"), isActive, "bundle of no running container"),
    ...strays(join(execRoot, "exits"), isActive, "exit file of no running container"),
    ...namesIn(join(execRoot, "runtimes")).flatMap((runtime) =>
      strays(
        join(execRoot, "runtimes", runtime),
        isActive,
        "runtime state of no running container",
      ),
    ),
    ...strays(join(execRoot, "execs"), () => anyActive, "exec directory with no running container"),
    ...strays(
      join(execRoot, "netns"),
      (name) => netns.has(join(execRoot, "netns", name)),
      "namespace of no endpoint",
    ),
    ...strays(join(dataRoot, "containers"), isKnown, "directory of no container"),
    ...strays(
      join(dataRoot, "volumes"),
      (name) => records.volumes.has(name),
      "directory of no volume",
    ),
    ...strays(
      join(dataRoot, "layers", "l"),
      (name) => records.layerDirs.has(name),
      "directory of no layer",
    ),
    ...strays(join(dataRoot, "layers", "w"), isKnown, "writable layer of no container"),
    ...strays(join(dataRoot, "layers", "trash"), () => false, "waits to be deleted"),
  ];
}

/** Addresses whose container does not run, and work that waits. */
export function probeRecords(records: Records): Leak[] {
  const addresses = records.endpoints
    .filter(
      ({ containerId, quarantined }) =>
        quarantined || records.containers.get(containerId)?.active !== true,
    )
    .map(
      ({ key }): Leak => ({
        kind: "address",
        subject: key,
        reason: "kept for no running container",
      }),
    );
  const work = records.pendingWork.map(
    (kind): Leak => ({ kind: "work", subject: kind, reason: "queued and not done" }),
  );
  return [...addresses, ...work];
}

function strays(dir: string, isKnown: (name: string) => boolean, reason: string): Leak[] {
  return namesIn(dir)
    .filter((name) => !isKnown(name))
    .map((name) => ({ kind: "file", subject: join(dir, name), reason }));
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // never made
  }
}
