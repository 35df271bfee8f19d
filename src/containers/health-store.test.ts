import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emptyHostConfig } from "../../test/fakes/bodies.ts";
import { formatTimestamp } from "../base/mod.ts";
import type { HealthState } from "./health-state.ts";
import { readHealth, writeHealth } from "./health-store.ts";
import { checkOnUnhealthy, ON_UNHEALTHY_ANNOTATION } from "./on-unhealthy.ts";

const dir: string = mkdtempSync("/tmp/naru-health-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const at = formatTimestamp(1n);
const entry = { Start: at, End: at, ExitCode: 1, Output: "no\n" };
const state: HealthState = { Status: "unhealthy", FailingStreak: 4, Log: [entry] };

test("what was written for a run is read back, for another run it is not", () => {
  expect(readHealth(dir, 3)).toBeUndefined();
  writeHealth(dir, 3, state);
  expect(readHealth(dir, 3)).toEqual(state);
  expect(readHealth(dir, 4)).toBeUndefined();
});

test("a damaged file is as none", () => {
  const bad = [
    "",
    "{",
    "null",
    '{"runNumber":3}',
    '{"runNumber":3,"health":{"Status":"fine","FailingStreak":0,"Log":[]}}',
    '{"runNumber":3,"health":{"Status":"healthy","FailingStreak":0,"Log":[{}]}}',
  ];
  for (const text of bad) {
    writeFileSync(join(dir, "health.json"), text);
    expect(readHealth(dir, 3)).toBeUndefined();
  }
});

test("on-unhealthy: unknown actions, and a restart of what removes itself, are refused", () => {
  const host = (action: string, AutoRemove = false) => ({
    ...emptyHostConfig(),
    AutoRemove,
    Annotations: { [ON_UNHEALTHY_ANNOTATION]: action },
  });
  for (const action of ["none", "restart", "stop", "kill"]) checkOnUnhealthy(host(action));
  expect(() => checkOnUnhealthy(host("panic"))).toThrow('"panic" is none of');
  expect(() => checkOnUnhealthy(host("restart", true))).toThrow("cannot be restarted");
});
