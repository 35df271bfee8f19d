import { parseArgs } from "node:util";
import { errorMessage, SECOND_MS } from "../base/mod.ts";
import { findLasting } from "./check.ts";
import type { Leak } from "./leak.ts";
import { openRecords } from "./records.ts";

const WAIT_SECONDS_DEFAULT = 30; // 500 removed links at 26-34 ms each

const HELP = `Usage: naru system check [OPTIONS]

Compare what the kernel and the disk hold with what the engine's database knows, and list
what belongs to nothing: mounts, namespaces, links, rules, cgroups, processes, descriptors,
files. Works with or without a running engine, and changes nothing.

Options:
  --wait[=SECONDS]     Give queued clean-up that long before judging (${WAIT_SECONDS_DEFAULT})
  --format FORMAT      table or json
  --data-root DIR      The engine's data root (/var/lib/naru)
  --exec-root DIR      The engine's run root (/run/naru)

Exit status: 0 nothing found, 1 leaks found, 2 the check could not run.
`;

interface CheckOptions {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly waitMs: number;
  readonly json: boolean;
}

/** `naru system check`. */
export async function runCheck(argv: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(argv);
    if (options === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    using reader = openRecords(options.dataRoot);
    const leaks = await findLasting(options, reader, options.waitMs);
    process.stdout.write(options.json ? `${JSON.stringify({ leaks })}\n` : renderTable(leaks));
    return leaks.length === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`naru system check: ${errorMessage(error)}\n`);
    return 2;
  }
}

function parseOptions(argv: readonly string[]): CheckOptions | undefined {
  // --wait may stand alone or with a value, which parseArgs cannot say.
  const args = argv.map((word) => (word === "--wait" ? `--wait=${WAIT_SECONDS_DEFAULT}` : word));
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean", short: "h" },
      wait: { type: "string", default: "0" },
      format: { type: "string", default: "table" },
      "data-root": { type: "string", default: "/var/lib/naru" },
      "exec-root": { type: "string", default: "/run/naru" },
    },
  });
  if (values.help === true) return undefined;
  if (values.format !== "table" && values.format !== "json") {
    throw new Error(`--format: want table or json, got "${values.format}"`);
  }
  if (!/^\d{1,5}$/.test(values.wait)) {
    throw new Error(`--wait: want a number of seconds, got "${values.wait}"`);
  }
  return {
    dataRoot: values["data-root"],
    execRoot: values["exec-root"],
    waitMs: Number(values.wait) * SECOND_MS,
    json: values.format === "json",
  };
}

function renderTable(leaks: readonly Leak[]): string {
  if (leaks.length === 0) return "nothing is left behind\n";
  const kindWidth = Math.max(4, ...leaks.map(({ kind }) => kind.length));
  const subjectWidth = Math.max(7, ...leaks.map(({ subject }) => subject.length));
  const rows = leaks.map(
    ({ kind, subject, reason }) =>
      `${kind.padEnd(kindWidth)}   ${subject.padEnd(subjectWidth)}   ${reason}`,
  );
  return [
    `${"KIND".padEnd(kindWidth)}   ${"SUBJECT".padEnd(subjectWidth)}   REASON`,
    ...rows,
    "",
  ].join("\n");
}
