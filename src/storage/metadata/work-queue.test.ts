import { describe, expect, test } from "bun:test";
import { rejectionMessage } from "../../../test/fakes/rejection.ts";
import type { Clock } from "../../base/mod.ts";
import { silentLogger } from "../../observe/mod.ts";
import type { Change, Metadata, TableName } from "../contract.ts";
import { createWorkQueue } from "./work-queue.ts";

/** A database in memory that can be told to fail. */
class MemoryMetadata implements Metadata {
  readonly tables: Map<TableName, Map<string, unknown>> = new Map();
  failures = 0;

  rows(table: TableName): readonly (readonly [string, unknown])[] {
    return [...(this.tables.get(table) ?? new Map<string, unknown>())].sort(([a], [b]) =>
      a < b ? -1 : 1,
    );
  }

  async commit(changes: readonly Change[]): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("no space");
    }
    for (const { table, key, value } of changes) {
      const rows = this.tables.get(table) ?? new Map<string, unknown>();
      this.tables.set(table, rows);
      if (value === undefined) rows.delete(key);
      else rows.set(key, value);
    }
  }

  async close(): Promise<void> {}
}

/** A clock whose timers fire when told. */
class ManualClock implements Clock {
  #ns = 1_000_000_000_000_000_000n;
  readonly timers: { delayMs: number; action: () => void }[] = [];
  nowMs = (): number => Number(this.#ns / 1_000_000n);
  nowNs = (): bigint => (this.#ns += 1n);
  after(delayMs: number, action: () => void): () => void {
    const timer = { delayMs, action };
    this.timers.push(timer);
    return () => void this.timers.splice(this.timers.indexOf(timer), 1);
  }
}

function setUp(metadata = new MemoryMetadata()) {
  const clock = new ManualClock();
  return { metadata, clock, queue: createWorkQueue(metadata, { clock, logger: silentLogger }) };
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

describe("work queue", () => {
  test("performs items in order and forgets them", async () => {
    const { metadata, queue } = setUp();
    const seen: unknown[] = [];
    queue.handle("x", async (payload) => void seen.push(payload));
    queue.start();
    await queue.add("x", 1);
    await queue.add("x", 2);
    await queue.idle();
    expect(seen).toEqual([1, 2]);
    expect(metadata.rows("work")).toEqual([]);
    expect(queue.pending()).toEqual([]);
  });

  test("an item that was committed but not done runs after a restart", async () => {
    const { metadata, queue } = setUp();
    queue.handle("x", () => Promise.resolve());
    const { change } = queue.prepare("x", "left");
    await metadata.commit([change]);
    const next = setUp(metadata);
    const seen: unknown[] = [];
    next.queue.handle("x", async (payload) => void seen.push(payload));
    next.queue.start();
    await next.queue.idle();
    expect(seen).toEqual(["left"]);
  });

  test("a failing item is tried again with growing delays until it succeeds", async () => {
    const { clock, queue, metadata } = setUp();
    let tries = 0;
    queue.handle("x", async () => {
      tries += 1;
      if (tries < 4) throw new Error("busy");
    });
    queue.start();
    await queue.add("x", null);
    const delays: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await settle();
      const timer = clock.timers.shift();
      delays.push(timer?.delayMs ?? -1);
      expect(metadata.rows("work").length).toBe(1);
      timer?.action();
    }
    await queue.idle();
    expect(delays).toEqual([200, 400, 800]);
    expect(tries).toBe(4);
  });

  test("an item whose removal is not durable runs again", async () => {
    const { clock, queue, metadata } = setUp();
    let runs = 0;
    queue.handle("x", async () => {
      runs += 1;
      if (runs === 1) metadata.failures = 1;
    });
    queue.start();
    await queue.add("x", null);
    await settle();
    clock.timers.shift()?.action();
    await queue.idle();
    expect(runs).toBe(2);
  });

  test("an item that cannot be recorded is not run", async () => {
    const { queue, metadata } = setUp();
    let runs = 0;
    queue.handle("x", async () => void (runs += 1));
    queue.start();
    metadata.failures = 1;
    expect(await rejectionMessage(queue.add("x", null))).toMatch("no space");
    await queue.idle();
    expect(runs).toBe(0);
  });

  test("stop waits for what runs and leaves the rest durable", async () => {
    const { metadata, queue } = setUp();
    const gates: (() => void)[] = [];
    queue.handle("x", () => new Promise<void>((resolve) => gates.push(resolve)));
    queue.start();
    for (let index = 0; index < 6; index += 1) await queue.add("x", index);
    const stopped = queue.stop();
    for (const open of gates) open();
    await stopped;
    expect(gates.length).toBe(4);
    expect(metadata.rows("work").map(([, row]) => (row as { payload: number }).payload)).toEqual([
      4, 5,
    ]);
  });

  test("work of an unknown kind stays and does not block idle", async () => {
    const metadata = new MemoryMetadata();
    await metadata.commit([{ table: "work", key: "1", value: { kind: "future", payload: 1 } }]);
    const { queue } = setUp(metadata);
    queue.start();
    await queue.idle();
    expect(metadata.rows("work").length).toBe(1);
  });
});
