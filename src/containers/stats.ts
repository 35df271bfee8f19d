import { totalmem } from "node:os";
import {
  type CgroupHost,
  detectCgroups,
  type GroupPlace,
  groupPids,
  locateGroup,
  readGroupStats,
  readHostCpu,
  readInterfaces,
  sharesHostNetwork,
} from "../linux/mod.ts";
import type { MonitorHandle } from "../runtime/mod.ts";
import type { ContainerStats } from "../spec/mod.ts";
import type { StatsOptions } from "./contract.ts";
import type { Room } from "./room.ts";
import { type StatsReading, statsView } from "./stats-view.ts";

const SAMPLE_MS = 1000; // Docker's, and what `docker stats` reckons with

/** What stays the same for one run. */
interface RunPlace {
  readonly group: GroupPlace;
  readonly hostNetwork: boolean;
}

let cgroups: CgroupHost | undefined;
const places: WeakMap<MonitorHandle, RunPlace> = new WeakMap();

function placeOf(id: string, handle: MonitorHandle): RunPlace | undefined {
  const known = places.get(handle);
  if (known !== undefined) return known;
  cgroups ??= detectCgroups();
  const group = locateGroup(cgroups, handle.pid, id);
  if (group === undefined) return undefined;
  const place = { group, hostNetwork: sharesHostNetwork(handle.pid) };
  places.set(handle, place);
  return place;
}

/** Host numbers of the container's processes, those of its execs too; none when it has ended. */
export function containerPids(id: string, handle: MonitorHandle): number[] {
  const place = placeOf(id, handle);
  return place === undefined ? [] : groupPids(place.group);
}

/** Where its limits are; undefined when it has ended. */
export function groupOf(id: string, handle: MonitorHandle): GroupPlace | undefined {
  return placeOf(id, handle)?.group;
}

/** Undefined when the container does not run. */
function takeReading(room: Room, id: string): StatsReading | undefined {
  const state = room.table.get(id)?.state;
  if (state?.kind !== "running") return undefined;
  const place = placeOf(id, state.handle);
  const group = place === undefined ? undefined : readGroupStats(place.group);
  if (place === undefined || group === undefined) return undefined;
  return {
    readNs: room.options.clock.nowNs(),
    group,
    hostCpu: readHostCpu(),
    interfaces: place.hostNetwork ? undefined : readInterfaces(state.handle.pid),
    hostMemoryBytes: totalmem(),
  };
}

/** One reading a second of one container, for all clients that stream it. */
class Sampler {
  readonly #room: Room;
  readonly #id: string;
  readonly #waiting: Set<(reading: StatsReading | undefined) => void> = new Set();
  #isArmed = false;

  constructor(room: Room, id: string) {
    this.#room = room;
    this.#id = id;
  }

  /** The next reading; a client that asks late has missed what was between. */
  async next(signal: AbortSignal): Promise<StatsReading | undefined> {
    if (signal.aborted) return undefined;
    const ticked = Promise.withResolvers<StatsReading | undefined>();
    const leave = (): void => ticked.resolve(undefined);
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.add(ticked.resolve);
    this.#arm();
    try {
      return await ticked.promise;
    } finally {
      signal.removeEventListener("abort", leave);
      this.#waiting.delete(ticked.resolve);
    }
  }

  /** Runs on while somebody asks, and for one tick more. */
  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#room.options.clock.after(SAMPLE_MS, () => {
      this.#isArmed = false;
      if (this.#waiting.size === 0) {
        samplersOf(this.#room).delete(this.#id);
        return;
      }
      // Armed before the reading, whose time would add up otherwise.
      this.#arm();
      const reading = takeReading(this.#room, this.#id);
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const resolve of waiting) resolve(reading);
    });
  }
}

const samplers: WeakMap<Room, Map<string, Sampler>> = new WeakMap();

function samplersOf(room: Room): Map<string, Sampler> {
  let known = samplers.get(room);
  if (known === undefined) {
    known = new Map();
    samplers.set(room, known);
  }
  return known;
}

function samplerOf(room: Room, id: string): Sampler {
  const known = samplersOf(room);
  let sampler = known.get(id);
  if (sampler === undefined) {
    sampler = new Sampler(room, id);
    known.set(id, sampler);
  }
  return sampler;
}

/**
 * Samples of one container, one a second, from its first with zero precpu_stats on; ends when the
 * container is removed or `signal` aborts. While it does not run they hold its names only. Without
 * `stream` it is one sample: at once (`oneShot`), or after a second with precpu_stats filled.
 */
export async function* readStats(
  room: Room,
  id: string,
  { stream, oneShot, signal }: StatsOptions,
): AsyncGenerator<ContainerStats, void, undefined> {
  const first = takeReading(room, id);
  const shown = (reading?: StatsReading, previous?: StatsReading): ContainerStats => {
    const { name } = room.table.must(id);
    return statsView({ id, name }, reading, previous);
  };
  if (!stream) {
    if (oneShot || first === undefined) {
      yield shown(first);
      return;
    }
    await pause(room, signal);
    if (signal.aborted || room.table.get(id) === undefined) return;
    const second = takeReading(room, id);
    yield shown(second, second === undefined ? undefined : first);
    return;
  }
  yield shown(first);
  let previous = first;
  for (;;) {
    const reading = await samplerOf(room, id).next(signal);
    if (signal.aborted || room.table.get(id) === undefined) return;
    yield shown(reading, reading === undefined ? undefined : previous);
    previous = reading;
  }
}

async function pause(room: Room, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const cancel = room.options.clock.after(SAMPLE_MS, over.resolve);
  signal.addEventListener("abort", () => over.resolve(), { once: true });
  if (signal.aborted) over.resolve();
  await over.promise;
  cancel();
}
