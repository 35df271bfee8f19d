import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../base/mod.ts";
import { type HealthState, isHealthState } from "./health-state.ts";

const FILE = "health.json";
const BYTES_MAX = 256 * 1024; // five outputs of 4 KB, six times longer in the worst JSON escapes

/*
 * The health of a run in a file of the container. It survives the engine; after a power loss the
 * check may begin anew, so it costs no sync.
 */

/** Written aside and renamed: a killed engine leaves the state before or this one. */
export function writeHealth(dir: string, runNumber: number, health: HealthState): void {
  mkdirSync(dir, { recursive: true, mode: 0o710 });
  const path = join(dir, FILE);
  writeFileSync(`${path}.new`, JSON.stringify({ runNumber, health }));
  renameSync(`${path}.new`, path);
}

/** What was written for this run, or undefined: none, of another run, or damaged. */
export function readHealth(dir: string, runNumber: number): HealthState | undefined {
  try {
    const text = readFileSync(join(dir, FILE), "utf8");
    if (text.length > BYTES_MAX) return undefined;
    const value = JSON.parse(text) as { runNumber?: unknown; health?: unknown } | null;
    if (value?.runNumber !== runNumber || !isHealthState(value.health)) return undefined;
    return value.health;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
