import { execFile } from "node:child_process";
import { errorCode, MiB, NaruError, SECOND_MS } from "../base/mod.ts";
import type { ContainerTop } from "../spec/mod.ts";
import type { ContainerRecord } from "./record.ts";
import { notRunning, publish, type Room } from "./room.ts";
import { containerPids } from "./stats.ts";

const DEFAULT_ARGUMENTS = "-ef"; // Docker's
const OUTPUT_BYTES_MAX = 16 * MiB; // 65,536 processes with long command lines
const PS_MS_MAX = 10 * SECOND_MS; // a stuck /proc must not hold the request for ever
/** More would not fit into an argument list; ps then shows all and rows are picked. */
const NAMED_PIDS_MAX = 4096;
const ARGUMENT_CHARS_MAX = 1024;

/** The processes of a running container, as the host's ps shows them. */
export async function topOf(
  room: Room,
  record: ContainerRecord,
  psArgs: string,
): Promise<ContainerTop> {
  const args = splitArguments(psArgs === "" ? DEFAULT_ARGUMENTS : psArgs);
  const { state } = record;
  if (state.kind === "restarting") {
    const why = `Container ${record.id} is restarting, wait until the container is running`;
    throw new NaruError("conflict", why);
  }
  if (state.kind !== "running") {
    throw new NaruError("conflict", `Container ${record.id} is not running`);
  }
  const pids = containerPids(record.id, state.handle);
  if (pids.length === 0) throw notRunning(record);
  const top = parsePs(await runPs(args, pids), new Set(pids));
  publish(room, record, "top");
  return top;
}

/**
 * Throws invalid_argument for what names another column PID: rows are told apart by that column, so
 * that nothing but the container's processes is shown.
 */
export function splitArguments(text: string): string[] {
  if (text.length > ARGUMENT_CHARS_MAX || text.includes("\0")) {
    throw new NaruError("invalid_argument", "ps_args: too long or not text", { field: "ps_args" });
  }
  for (const [, column = "", title = ""] of text.matchAll(/([^\s,=]*)\s*=\s*(PID\S*)/gi)) {
    if (/^(-?-?[oO]?)?pid$/.test(column)) continue;
    throw new NaruError("invalid_argument", `specifying "${column}=${title}" is not allowed`, {
      field: "ps_args",
    });
  }
  return text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== "");
}

async function runPs(args: readonly string[], pids: readonly number[]): Promise<string> {
  // Naming the processes spares ps the rest of /proc; not every option goes with it.
  if (pids.length <= NAMED_PIDS_MAX) {
    const quick = await ps([...args, "-q", pids.join(",")]);
    if (quick.ok) return quick.text;
  }
  const all = await ps(args);
  if (all.ok) return all.text;
  throw new NaruError("invalid_argument", `ps: ${all.text}`, { field: "ps_args" });
}

/** What it printed, or the first line of its complaint. */
function ps(args: readonly string[]): Promise<{ readonly ok: boolean; readonly text: string }> {
  const environment = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C.UTF-8" };
  const limits = {
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: PS_MS_MAX,
    killSignal: "SIGKILL" as const,
  };
  const { promise, resolve, reject } = Promise.withResolvers<{ ok: boolean; text: string }>();
  execFile("ps", [...args], { ...limits, env: environment }, (error, stdout, stderr) => {
    if (error === null) resolve({ ok: true, text: stdout });
    else if (errorCode(error) === "ENOENT") {
      const what = "ps is not installed; install the Debian package procps";
      reject(new NaruError("unavailable", what, {}, { cause: error }));
    } else {
      const line = stderr.trim().split("\n", 1)[0] ?? "";
      resolve({ ok: false, text: line === "" ? error.message : line });
    }
  });
  return promise;
}

/** Titles and rows of ps, of these processes and their threads only. Throws in Docker's words. */
export function parsePs(output: string, pids: ReadonlySet<number>): ContainerTop {
  const [head = "", ...lines] = output.split("\n");
  const titles = words(head);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) {
    throw new NaruError("invalid_argument", "Couldn't find PID field in ps output");
  }
  const processes: string[][] = [];
  let inProcess = false;
  for (const line of lines) {
    const cells = words(line);
    const pid = cells[pidColumn];
    if (pid === undefined) continue;
    // Threads (`ps m`) follow their process and have no number of their own.
    if (pid === "-") {
      if (!inProcess) continue;
    } else inProcess = /^\d+$/.test(pid) && pids.has(Number(pid));
    if (!inProcess) continue;
    // Only the last column, the command, may hold spaces.
    const last = titles.length - 1;
    processes.push([...cells.slice(0, last), cells.slice(last).join(" ")]);
  }
  return { Titles: titles, Processes: processes };
}

function words(line: string): string[] {
  return line.split(/[ \t]+/).filter((word) => word !== "");
}
