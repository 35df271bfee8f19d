/**
 * Records the answers of a real dockerd: `bun test/golden/engine/record.ts [NAME...]`.
 * As root; needs Debian's docker.io and busybox-static. With DOCKER_SOCK an engine that runs already
 * is used (it loses its containers and images).
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CASES } from "./cases.ts";
import { startDockerd } from "./dockerd.ts";
import { makeArchives } from "./images.ts";
import { type Answer, type Engine, play, prepare } from "./play.ts";

const OUT = join(import.meta.dir, "docker-20.10");

const wanted = new Set(process.argv.slice(2));
const running = process.env["DOCKER_SOCK"];
const dockerd =
  running === undefined
    ? await startDockerd()
    : { socketPath: running, version: "running", stop: async (): Promise<void> => {} };
const failures: string[] = [];
try {
  const engine: Engine = { socketPath: dockerd.socketPath, archives: makeArchives() };
  mkdirSync(OUT, { recursive: true });
  if (wanted.size === 0) for (const file of readdirSync(OUT)) rmSync(join(OUT, file));
  await prepare(engine);
  for (const what of CASES) {
    if (wanted.size > 0 && !wanted.has(what.name)) continue;
    let main: string | undefined;
    for (const api of what.api ?? ["1.41"]) {
      try {
        const answers = await play(engine, api, what);
        const text = write({ case: what.name, engine: "docker 20.10.24", api, answers });
        const body = JSON.stringify(answers);
        // An older version gets a file of its own only where it differs.
        const file = join(
          OUT,
          main === undefined ? `${what.name}.json` : `${what.name}@${api}.json`,
        );
        if (body !== main) writeFileSync(file, text);
        main ??= body;
      } catch (error) {
        failures.push(String(error));
      }
    }
    console.log(what.name);
  }
} finally {
  await dockerd.stop();
}
for (const failure of failures) console.error(failure);
process.exit(failures.length === 0 ? 0 : 1);

/** Two spaces, with short arrays and objects on one line, so that the files stay readable. */
function write(record: { case: string; engine: string; api: string; answers: Answer[] }): string {
  return `${pretty(record, "")}\n`;
}

function pretty(value: unknown, indent: string): string {
  const flat = JSON.stringify(value);
  if (value === null || typeof value !== "object" || flat.length + indent.length < 100) return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    return `[\n${value.map((item) => inner + pretty(item, inner)).join(",\n")}\n${indent}]`;
  }
  const members = Object.entries(value).filter(([, item]) => item !== undefined);
  const lines = members.map(
    ([key, item]) => `${inner}${JSON.stringify(key)}: ${pretty(item, inner)}`,
  );
  return `{\n${lines.join(",\n")}\n${indent}}`;
}
