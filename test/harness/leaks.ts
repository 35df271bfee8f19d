import { execFile } from "node:child_process";
import { appendFileSync, existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { naruCommand } from "./program.ts";

const execute = promisify(execFile);
const CHECK_LIMIT_MS = 60_000; // it waits for queued removals: 30 ms for each link
const GONE_LIMIT_MS = 3000; // a killed process is reaped, a link is freed
const POLL_MS = 50;

/** Where an engine of the tests has its things, and by which names. */
export interface EnginePlaces {
  readonly root: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly bridge: string;
  readonly cgroupParent: string;
}

/** Tells the run of the suites about an engine, in case this process dies before `destroy()`. */
export function noteEngine(engine: EnginePlaces): void {
  const list = process.env["NARU_TEST_ENGINES"];
  if (list === undefined) return;
  const { root, dataRoot, execRoot, bridge, cgroupParent } = engine;
  appendFileSync(list, `${JSON.stringify({ root, dataRoot, execRoot, bridge, cgroupParent })}\n`);
}

/**
 * Takes away what the engines noted in `list` have left, after the processes that should have done
 * so are gone. Returns what was found.
 */
export async function sweepEngines(list: string): Promise<readonly string[]> {
  if (!existsSync(list)) return [];
  const found: string[] = [];
  for (const line of readFileSync(list, "utf8").split("\n")) {
    if (line === "") continue;
    const places = JSON.parse(line) as EnginePlaces;
    if (!existsSync(places.root)) continue; // destroyed in order
    found.push(`${places.root} was not destroyed`);
    found.push(...(await leftovers(places, { cleanUp: true })));
    rmSync(places.root, { recursive: true, force: true });
  }
  rmSync(list, { force: true });
  return found;
}

/** What `naru system check --wait` complains about, one line each. */
export async function systemCheck(engine: EnginePlaces): Promise<readonly string[]> {
  const [program, ...before] = naruCommand();
  const places = ["--data-root", engine.dataRoot, "--exec-root", engine.execRoot];
  const args = [...before, "system", "check", "--wait", "--format", "json", ...places];
  try {
    await execute(program, args, { timeout: CHECK_LIMIT_MS });
    return [];
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return [`system check failed: ${stdout ?? ""}${stderr ?? String(error)}`];
  }
}

/**
 * What the kernel still has of a stopped engine, found without naru's own code: mounts and processes
 * under its root, ports of its bridge, its cgroups, its nft rules. With `cleanUp` it is also taken
 * away, so that one failure does not spoil the tests after it.
 */
export async function leftovers(
  engine: EnginePlaces,
  options: { readonly cleanUp: boolean },
): Promise<readonly string[]> {
  const deadlineMs = Date.now() + GONE_LIMIT_MS;
  let found = await look(engine);
  while (found.problems.length > 0 && Date.now() < deadlineMs) {
    await Bun.sleep(POLL_MS);
    found = await look(engine);
  }
  if (options.cleanUp) await cleanUp(engine, found);
  return found.problems;
}

interface Found {
  readonly pids: readonly number[];
  readonly mounts: readonly string[];
  readonly ports: readonly string[];
  readonly cgroups: readonly string[];
  readonly tables: readonly string[];
  readonly problems: readonly string[];
}

async function look(engine: EnginePlaces): Promise<Found> {
  const pids = processesOf(engine.root);
  const mounts = mountsBelow(engine.root);
  const ports = portsOf(engine.bridge);
  const cgroups = cgroupsOf(engine.cgroupParent);
  const tables = await tablesOf(engine);
  const problems = [
    ...pids.map((pid) => `process ${pid}: ${commandLine(pid)}`),
    ...mounts.map((mount) => `mount ${mount}`),
    ...ports.map((port) => `link ${port} on ${engine.bridge}`),
    ...cgroups
      .filter((path) => !path.endsWith(engine.cgroupParent))
      .map((path) => `cgroup ${path}`),
  ];
  return { pids, mounts, ports, cgroups, tables, problems };
}

/** The bridge and the tables themselves outlive an engine on purpose: they go here, unreported. */
async function cleanUp(engine: EnginePlaces, found: Found): Promise<void> {
  for (const pid of found.pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  for (const mount of found.mounts.toReversed()) await quietly("umount", "-l", mount);
  for (const port of found.ports) await quietly("ip", "link", "delete", port);
  if (existsSync(`/sys/class/net/${engine.bridge}`)) {
    await quietly("ip", "link", "delete", engine.bridge);
  }
  for (const table of found.tables) await quietly("nft", "delete", "table", ...table.split(" "));
  for (const path of found.cgroups.toReversed()) {
    try {
      rmdirSync(path);
    } catch {
      // Something in it still ends; the run of the suites reports what stays.
    }
  }
}

async function quietly(program: string, ...args: readonly string[]): Promise<void> {
  try {
    await execute(program, args);
  } catch {
    // Gone already.
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** Every process whose command line names the root: conmon, netd, nft, an engine. */
function processesOf(root: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(root));
}

function mountsBelow(root: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${root}/`));
}

function portsOf(bridge: string): string[] {
  const folder = `/sys/class/net/${bridge}/brif`;
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Parents first. */
function cgroupsOf(parent: string): string[] {
  const hierarchies = [
    "/sys/fs/cgroup",
    ...readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`),
  ];
  return hierarchies.flatMap((hierarchy) => {
    const top = join(hierarchy, parent);
    return existsSync(top) ? foldersBelow(top) : [];
  });
}

function foldersBelow(top: string): string[] {
  const below = readdirSync(top, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [top, ...below.flatMap((entry) => foldersBelow(join(top, entry.name)))];
}

/** `family name` of each nft table that speaks of this engine's bridge or subnet. */
async function tablesOf(engine: EnginePlaces): Promise<string[]> {
  const { stdout } = await execute("nft", ["list", "ruleset"]).catch(() => ({ stdout: "" }));
  return stdout
    .split(/^(?=table )/m)
    .filter((text) => text.includes(engine.bridge) && text.startsWith("table "))
    .filter((text) => /^table \S+ naru/.test(text))
    .map((text) => /^table (\S+ \S+)/.exec(text)?.[1] ?? "");
}
