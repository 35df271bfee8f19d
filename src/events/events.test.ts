import { describe, expect, test } from "bun:test";
import { type Clock, isNaruError } from "../base/mod.ts";
import type { EventMessage } from "../spec/mod.ts";
import { createEventBus } from "./bus.ts";
import type { EventJournal, EventQuery } from "./contract.ts";
import { matchesEvent } from "./filter.ts";
import { createTableJournal } from "./journal.ts";

function manualClock(): Clock & { advance(ms: number): void } {
  let nowNs = 1_000_000_000_000n;
  const timers = new Set<{ atNs: bigint; action: () => void }>();
  return {
    nowMs: () => Number(nowNs / 1_000_000n),
    nowNs: () => nowNs,
    after(delayMs, action) {
      const timer = { atNs: nowNs + BigInt(delayMs) * 1_000_000n, action };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      nowNs += BigInt(ms) * 1_000_000n;
      for (const timer of [...timers]) {
        if (timer.atNs <= nowNs && timers.delete(timer)) timer.action();
      }
    },
  };
}

const noJournal: EventJournal = { load: () => [], append: () => undefined };

function query(over: Partial<EventQuery> = {}): EventQuery {
  return {
    sinceNs: undefined,
    untilNs: undefined,
    filters: new Map(),
    signal: new AbortController().signal,
    ...over,
  };
}

function container(action: string, id = "aaa", attributes: Record<string, string> = {}) {
  return { type: "container" as const, action, id, attributes };
}

async function collect(stream: AsyncIterable<EventMessage>): Promise<string[]> {
  const actions: string[] = [];
  for await (const event of stream) actions.push(event.Action);
  return actions;
}

describe("event bus", () => {
  test("history and live events follow each other without a gap", async () => {
    const clock = manualClock();
    const bus = createEventBus({ clock, journal: noJournal });
    bus.publish(container("create"));
    const stop = new AbortController();
    const stream = bus.subscribe(query({ sinceNs: 0n, signal: stop.signal }));
    bus.publish(container("start"));
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value.Action).toBe("create");
    expect((await iterator.next()).value.Action).toBe("start");
    const pending = iterator.next();
    bus.publish(container("die"));
    expect((await pending).value.Action).toBe("die");
    expect(bus.subscriberCount()).toBe(1);
    stop.abort();
    expect((await iterator.next()).done).toBe(true);
    expect(bus.subscriberCount()).toBe(0);
  });

  test("no history without since, times only grow", async () => {
    const clock = manualClock();
    const bus = createEventBus({ clock, journal: noJournal });
    bus.publish(container("create"));
    const stop = new AbortController();
    const stream = bus.subscribe(query({ signal: stop.signal }));
    bus.publish(container("start"));
    bus.publish(container("die"));
    stop.abort();
    const seen: EventMessage[] = [];
    for await (const event of stream) seen.push(event);
    expect(seen.map((event) => event.Action)).toEqual(["start", "die"]);
    expect(BigInt(seen[1]?.timeNano ?? 0) > BigInt(seen[0]?.timeNano ?? 0)).toBe(true);
  });

  test("until in the past ends at once, until in the future by the clock", async () => {
    const clock = manualClock();
    const bus = createEventBus({ clock, journal: noJournal });
    bus.publish(container("create"));
    clock.advance(1000);
    expect(await collect(bus.subscribe(query({ untilNs: clock.nowNs() })))).toEqual(["create"]);
    const stream = bus.subscribe(query({ untilNs: clock.nowNs() + 5_000_000_000n, sinceNs: 0n }));
    bus.publish(container("start"));
    clock.advance(5001);
    expect(await collect(stream)).toEqual(["create", "start"]);
    expect(bus.subscriberCount()).toBe(0);
  });

  test("a reader that lags is ended with an error", async () => {
    const bus = createEventBus({ clock: manualClock(), journal: noJournal, lagMax: 3 });
    const stream = bus.subscribe(query());
    for (let index = 0; index < 5; index += 1) bus.publish(container("start"));
    const failure = await collect(stream).catch((error: unknown) => error);
    expect(isNaruError(failure, "exhausted")).toBe(true);
    expect(bus.subscriberCount()).toBe(0);
  });

  test("an unknown filter is refused in Docker's words", () => {
    const bus = createEventBus({ clock: manualClock(), journal: noJournal });
    expect(() => bus.subscribe(query({ filters: new Map([["x", ["y"]]]) }))).toThrow(
      "invalid filter 'x'",
    );
  });
});

describe("filters", () => {
  const event: EventMessage = {
    Type: "container",
    Action: "exec_create: sh -c true",
    Actor: {
      ID: "abcdef",
      Attributes: { name: "web", image: "busybox:1.36", "com.example": "x" },
    },
    scope: "local",
    time: 1,
    timeNano: "1",
  };
  const cases: readonly [Record<string, string[]>, boolean][] = [
    [{ container: ["web"] }, true],
    [{ container: ["abc"] }, true],
    [{ container: ["other"] }, false],
    [{ container: ["other", "we"] }, true],
    [{ event: ["exec_create"] }, true],
    [{ event: ["exec_create: sh -c true"] }, true],
    [{ event: ["exec"] }, false],
    [{ type: ["image"] }, false],
    [{ type: ["image", "container"] }, true],
    [{ image: ["busybox"] }, true],
    [{ image: ["busybox:1.36"] }, true],
    [{ image: ["busybox:1.35"] }, false],
    [{ label: ["com.example"] }, true],
    [{ label: ["com.example=x"] }, true],
    [{ label: ["com.example=x", "other"] }, false],
    [{ scope: ["local"] }, true],
    [{ scope: ["swarm"] }, false],
    [{ network: ["bridge"] }, false],
  ];
  for (const [filters, want] of cases) {
    test(JSON.stringify(filters), () => {
      expect(matchesEvent(event, new Map(Object.entries(filters)))).toBe(want);
    });
  }
});

describe("journal", () => {
  test("writes in batches, and a new bus finds the history", async () => {
    const clock = manualClock();
    const rows = new Map<string, unknown>();
    let commits = 0;
    const table = {
      rows: () => [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)),
      commit: (changes: readonly { key: string; value: unknown }[]) => {
        commits += 1;
        for (const { key, value } of changes) {
          if (value === undefined) rows.delete(key);
          else rows.set(key, value);
        }
        return Promise.resolve();
      },
    };
    const open = () => createTableJournal({ rows: table, clock, onError: () => undefined });
    const journal = open();
    const bus = createEventBus({ clock, journal });
    for (let index = 0; index < 10; index += 1) bus.publish(container(`a${index}`));
    expect(commits).toBe(0);
    await journal.close();
    expect(commits).toBe(1);
    clock.advance(1);
    const next = createEventBus({ clock, journal: open() });
    const actions = await collect(next.subscribe(query({ sinceNs: 0n, untilNs: clock.nowNs() })));
    expect(actions).toHaveLength(10);
    expect(actions[9]).toBe("a9");
  });
});
