import { expect, test } from "bun:test";
import { emptyConfig } from "../../test/fakes/bodies.ts";
import { afterProbe, newHealth, nextProbeMs, planHealth } from "./health-state.ts";

const S = 1_000_000_000n;

function plan(over: object = {}) {
  const made = planHealth({
    ...emptyConfig(),
    Healthcheck: { Test: ["CMD-SHELL", "true"], Retries: 2, ...over },
  });
  if (made === undefined) throw new Error("no plan");
  return made;
}

function probe(atS: bigint, exitCode: number) {
  return { startNs: atS * S, endNs: atS * S + 1n, exitCode, output: "" };
}

test("defaults are Docker's; NONE and nothing are no check", () => {
  expect(plan()).toEqual({
    args: ["/bin/sh", "-c", "true"],
    intervalMs: 30_000,
    timeoutMs: 30_000,
    startPeriodMs: 0,
    startIntervalMs: 5_000,
    retries: 2,
  });
  expect(planHealth({ ...emptyConfig(), Healthcheck: { Test: ["NONE"] } })).toBeUndefined();
  expect(planHealth(emptyConfig())).toBeUndefined();
});

test("unhealthy after enough failures in a row, healthy after one success", () => {
  let state = afterProbe(newHealth(), plan(), probe(1n, 1), 0n);
  expect([state.Status, state.FailingStreak]).toEqual(["starting", 1]);
  state = afterProbe(state, plan(), probe(2n, 1), 0n);
  expect(state.Status).toBe("unhealthy");
  state = afterProbe(state, plan(), probe(3n, 0), 0n);
  expect([state.Status, state.FailingStreak]).toEqual(["healthy", 0]);
  for (let at = 4n; at < 12n; at += 1n) state = afterProbe(state, plan(), probe(at, 0), 0n);
  expect(state.Log).toHaveLength(5);
});

test("failures in the start period do not count, and it is probed at its own pace", () => {
  const slow = plan({ StartPeriod: 60e9, StartInterval: 1e9 });
  const state = afterProbe(newHealth(), slow, probe(5n, 1), 0n);
  expect([state.Status, state.FailingStreak]).toEqual(["starting", 0]);
  expect(nextProbeMs(state, slow, 5_000)).toBe(1_000);
  expect(nextProbeMs(state, slow, 61_000)).toBe(30_000);
  expect(afterProbe(state, slow, probe(61n, 1), 0n).FailingStreak).toBe(1);
});
