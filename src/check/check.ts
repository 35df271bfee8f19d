import type { MetadataReader } from "../storage/mod.ts";
import { probeFiles, probeRecords } from "./file-probes.ts";
import {
  probeCgroups,
  probeDescriptors,
  probeLinks,
  probeMounts,
  probeProcesses,
} from "./kernel-probes.ts";
import type { EnginePlaces, Leak } from "./leak.ts";
import { readRecords } from "./records.ts";
import { probeRules } from "./rule-probe.ts";

/** One look: everything that is there and belongs to nothing. Reads only. */
export async function findLeaks(places: EnginePlaces, reader: MetadataReader): Promise<Leak[]> {
  const records = readRecords(reader);
  return [
    ...probeMounts(places, records),
    ...probeLinks(records),
    ...(await probeRules(records)),
    ...probeCgroups(records),
    ...probeProcesses(places, records),
    ...probeDescriptors(places, records),
    ...probeFiles(places, records),
    ...probeRecords(records),
  ];
}

const POLL_MS = 50; // the slowest single piece of queued work, deleting a link, takes 30 ms

/**
 * Looks until nothing is found or `waitMs` is over: an engine works on its queue after it has
 * answered, so what one look finds may be on its way out. What is still there at the end is a leak.
 */
export async function findLasting(
  places: EnginePlaces,
  reader: MetadataReader,
  waitMs: number,
): Promise<Leak[]> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const leaks = await findLeaks(places, reader);
    if (leaks.length === 0 || performance.now() >= deadlineMs) return leaks;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
