/**
 * Plays the recorded cases against a naru engine and compares. The engine is the one at NARU_SOCK
 * (it loses its containers and images), else one that the harness starts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CASES } from "../golden/engine/cases.ts";
import { makeArchives } from "../golden/engine/images.ts";
import { type Answer, type Engine, play, prepare } from "../golden/engine/play.ts";
import { privileged } from "../harness/cli.ts";
import { differences, excuse } from "./compare.ts";
import { type OpenedSocket, openSocket } from "./engine.ts";
import { INTENDED, REFUSED_AT_CREATE } from "./intended.ts";
import type { Intended } from "./intended-entry.ts";

const RECORDED = join(import.meta.dir, "../golden/engine/docker-20.10");
const CASE_TIMEOUT_MS = 60_000;

let opened: OpenedSocket;
let engine: Engine;
// Against dockerd itself nothing is excused.
const SELF = process.env["GOLDEN_SELF"] !== undefined;
const intended: readonly Intended[] = SELF ? [] : INTENDED;
const used = new Set<Intended>();
let played = 0;

// Root and the kernel are needed to start an engine.
const able = process.env["NARU_SOCK"] !== undefined || privileged();

describe.skipIf(!able)("answers recorded from dockerd 20.10", () => {
  beforeAll(async () => {
    opened = await openSocket();
    engine = { socketPath: opened.socketPath, archives: makeArchives() };
    await prepare(engine);
  }, CASE_TIMEOUT_MS);

  afterAll(async () => {
    await opened?.close();
  }, CASE_TIMEOUT_MS);

  for (const what of CASES) {
    for (const api of what.api ?? ["1.41"]) {
      test(
        `${what.name} at ${api}`,
        async () => {
          const refused = SELF
            ? undefined
            : REFUSED_AT_CREATE.find((one) => one.case === what.name);
          played += 1;
          if (refused !== undefined) {
            const words = await play(engine, api, what).then(() => "played to its end", String);
            expect(words).toMatch(refused.answer);
            return;
          }
          const answers = await play(engine, api, what);
          const unexcused = differences(recorded(what.name, api), answers).filter((difference) => {
            const entry = excuse(what.name, difference, intended);
            if (entry !== undefined) used.add(entry);
            return entry === undefined;
          });
          expect(unexcused).toEqual([]);
        },
        CASE_TIMEOUT_MS,
      );
    }
  }

  test("every intended difference is seen", () => {
    const all = CASES.reduce((sum, what) => sum + (what.api?.length ?? 1), 0);
    if (played < all || intended.length === 0) return; // a part of the cases proves nothing
    expect(
      intended
        .filter((entry) => !used.has(entry) && !entry.onSomeHosts)
        .map((entry) => `${entry.why}: ${entry.case} ${entry.path}`),
    ).toEqual([]);
  });
});

function recorded(name: string, api: string): readonly Answer[] {
  const own = join(RECORDED, `${name}@${api}.json`);
  const file = existsSync(own) ? own : join(RECORDED, `${name}.json`);
  return (JSON.parse(readFileSync(file, "utf8")) as { answers: Answer[] }).answers;
}
