/**
 * Measures naru beside Docker and Podman in one run. `npm run bench -- --help` says how.
 * As root: it starts engines, each with its own roots and network namespace.
 */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run, textOf } from "./command.ts";
import type { Contender, Running } from "./contender.ts";
import { unmountUnder } from "./daemon.ts";
import { DOCKER } from "./docker.ts";
import { clean, MEASUREMENTS, prepare } from "./measure.ts";
import { NARU } from "./naru.ts";
import { PODMAN } from "./podman.ts";
import type { Bench, Row, Started } from "./rows.ts";
import { markdownTable, type Result, resultOf, textTable } from "./table.ts";

const CONTENDERS: readonly Contender[] = [NARU, DOCKER, PODMAN];
const TMPFS_SIZE = "3g"; // one engine's data at a time, with the image unpacked once

const USAGE = `npm run bench -- [--quick] [--only NAME]... [--engine NAME]... [--json FILE] [--markdown] [--work FOLDER]
  --quick        fewer runs: a look, not a figure to publish
  --only NAME    ${MEASUREMENTS.map(({ name }) => name).join(", ")}
  --engine NAME  naru, docker, podman (all that are installed otherwise)
  --json FILE    write everything, samples included
  --markdown     print the table as Markdown
  --work FOLDER  where the engines put their data (default: a folder in /var/tmp)`;

const notes: string[] = [];

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    engine: { type: "string", multiple: true },
    json: { type: "string" },
    markdown: { type: "boolean", default: false },
    work: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
process.exit(await main());

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    console.error("bench: must be root: it starts engines");
    return 1;
  }
  const chosen = MEASUREMENTS.filter(({ name }) => values.only?.includes(name) ?? true);
  if (chosen.length === 0) {
    console.error(`bench: nothing is called ${values.only?.join(", ")}\n${USAGE}`);
    return 1;
  }
  const present = CONTENDERS.filter((contender) => {
    if (!(values.engine?.includes(contender.name) ?? true)) return false;
    const found = contender.version();
    notes.push(`${contender.name}: ${"text" in found ? found.text : `left out: ${found.missing}`}`);
    return "text" in found;
  });
  const work = values.work ?? mkdtempSync("/var/tmp/naru-bench-");
  const cache = "/var/tmp/naru-bench-cache";
  mkdirSync(cache, { recursive: true });
  const engines = await startAll(present, join(work, "shared"), join(work, "shared"), cache);
  const bench: Bench = {
    quick: values.quick,
    cache,
    engines,
    note: (text) => notes.push(text),
    withEngines: (where, use) => withEngines(present, work, cache, where, use),
  };
  const rows: Row[] = [];
  let failed = false;
  try {
    for (const measurement of chosen) {
      console.error(`measuring ${measurement.name}`);
      try {
        rows.push(...(await measurement.measure(bench)));
      } catch (error) {
        failed = true;
        notes.push(
          `${measurement.name} failed: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  } finally {
    for (const { running } of engines) await running.stop();
    await unmountUnder(work);
    clean(work);
  }
  report(rows.map(resultOf), [machine(), ...notes]);
  return failed ? 1 : 0;
}

function report(results: readonly Result[], notes: readonly string[]): void {
  const table = values.markdown ? markdownTable(results) : textTable(results);
  const commands = results.map(({ name, command }) => `${name}: ${command}`);
  const marker = values.markdown ? "- " : "";
  console.log([table, "", ...[...notes, ...commands].map((line) => `${marker}${line}`)].join("\n"));
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ quick: values.quick, notes, results }, null, 2)}\n`,
    );
  }
}

async function withEngines(
  present: readonly Contender[],
  work: string,
  cache: string,
  where: "disk" | "tmpfs",
  use: (engines: readonly Started[]) => Promise<void>,
): Promise<void> {
  const root = join(work, where);
  const data = join(work, `${where}-data`);
  mkdirSync(data, { recursive: true });
  if (where === "tmpfs")
    await run(["mount", "-t", "tmpfs", "-o", `size=${TMPFS_SIZE}`, "tmpfs", data]);
  const engines = await startAll(present, root, data, cache);
  try {
    await use(engines);
  } finally {
    for (const { running } of engines) await running.stop();
    await unmountUnder(data);
    if (where === "tmpfs") await run(["umount", "-l", data]);
    clean(root, data);
  }
}

/** Starts each engine; one that does not start is left out, and the notes say why. */
async function startAll(
  present: readonly Contender[],
  root: string,
  data: string,
  cache: string,
): Promise<Started[]> {
  const started: Started[] = [];
  for (const contender of present) {
    const own = join(root, contender.name);
    let running: Running | undefined;
    try {
      running = await contender.start({ root: own, dataRoot: join(data, contender.name, "data") });
      await prepare(running, cache);
      started.push({ contender, root: own, running });
    } catch (error) {
      await running?.stop();
      const reason = error instanceof Error ? error.message : String(error);
      notes.push(`${contender.name}: left out: ${reason}`);
    }
  }
  return started;
}

function machine(): string {
  const model = cpus()[0]?.model ?? "unknown";
  const kernel = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const gib = Math.round(totalmem() / 2 ** 30);
  const storage = textOf("findmnt", "-no", "FSTYPE", "-T", "/var/tmp") ?? "unknown";
  return `machine: ${cpus().length} x ${model}, ${gib} GiB, Linux ${kernel}, ${storage} on disk`;
}
