import { expect, test } from "bun:test";
import { Semaphore } from "./queue.ts";

test("a semaphore follows a limit that grows and shrinks", async () => {
  let limit = 1;
  const slots = new Semaphore(() => limit);
  const ends: (() => void)[] = [];
  const begin = (): Promise<void> =>
    slots.run(() => new Promise<void>((resolve) => void ends.push(resolve)));
  const all = [begin(), begin(), begin(), begin()];
  const settle = (): Promise<void> => Bun.sleep(0);
  await settle();
  expect(ends.length).toBe(1);
  limit = 2;
  ends.shift()?.(); // two others may go on
  await settle();
  expect(ends.length).toBe(2);
  limit = 1;
  ends.shift()?.();
  await settle();
  expect(ends.length).toBe(1); // the fourth waits for the third
  ends.shift()?.();
  await settle();
  expect(ends.length).toBe(1);
  ends.shift()?.();
  await Promise.all(all);
});
