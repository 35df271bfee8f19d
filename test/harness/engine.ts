import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { leftovers, noteEngine, systemCheck } from "./leaks.ts";
import { naruCommand, TEST_RUNTIME } from "./program.ts";

/** Where the logs of test engines are kept until the next run of the suites. */
export const LOGS: string = "/tmp/naru-test-logs";

const START_LIMIT_MS = 20_000; // a cold start with recovery on a busy machine of two cores
const STOP_LIMIT_MS = 20_000; // dockerd allows itself 15 s (--shutdown-timeout) before it gives up
const POLL_MS = 15;

/** An option may be a flag or in a configuration file, and not both. */
function runtimeFlags(given: readonly string[]): readonly string[] {
  if (TEST_RUNTIME === "crun" || given.includes("--config-file")) return [];
  return ["--default-runtime", TEST_RUNTIME];
}

export interface EngineOptions {
  /** More flags for `naru daemon`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The program to start instead of naru; what it must become by exec is its last arguments. */
  readonly launcher?: readonly string[];
}

/**
 * An engine of its own for one test file: own roots, socket, bridge, subnet and cgroup parent.
 * `destroy()` in afterAll, always.
 */
export class TestEngine {
  readonly id: string = randomBytes(3).toString("hex");
  /** The temporary folder that holds all of it. */
  readonly root: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socket: string;
  readonly bridge: string;
  /** `10.x.y`: the engine is .1 of this /24. */
  readonly subnet: string = freeSubnet();
  readonly cgroupParent: string;
  readonly logFile: string;
  readonly #options: EngineOptions;
  #child: ChildProcess | undefined;

  constructor(root: string, options: EngineOptions) {
    this.root = root;
    this.dataRoot = join(root, "data");
    this.execRoot = join(root, "exec");
    this.socket = join(root, "naru.sock");
    this.bridge = `nr${this.id}`;
    this.cgroupParent = `/nr${this.id}`;
    this.logFile = join(LOGS, `${this.id}.log`);
    this.#options = options;
  }

  /** As DOCKER_HOST. */
  get host(): string {
    return `unix://${this.socket}`;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error("the engine does not run");
    return pid;
  }

  /** The flags that name this engine's places, for `system check` too. */
  get flags(): readonly string[] {
    return [
      ...["--data-root", this.dataRoot, "--exec-root", this.execRoot],
      ...["--pidfile", join(this.root, "naru.pid"), "--host", this.host],
      ...["--bridge", this.bridge, "--bip", `${this.subnet}.1/24`],
      ...["--cgroup-parent", this.cgroupParent],
    ];
  }

  /** Resolves when `/_ping` answers. Throws with the end of the log when it does not. */
  async start(extra: EngineOptions = {}): Promise<void> {
    const options = { ...this.#options, ...extra };
    const command = [...(options.launcher ?? []), ...naruCommand()];
    const [program = "", ...before] = command;
    const given = options.args ?? [];
    const args = [...before, "daemon", ...this.flags, ...runtimeFlags(given), ...given];
    const log = openSync(this.logFile, "a");
    const child = spawn(program, args, {
      stdio: ["ignore", log, log],
      env: { ...process.env, ...options.env },
      detached: true, // Ctrl-C on the tests must not reach it before afterAll does
    });
    closeSync(log);
    this.#child = child;
    child.once("error", () => undefined); // seen as an exit below
    const deadlineMs = Date.now() + START_LIMIT_MS;
    while (!(await this.answers())) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadlineMs) {
        await this.kill9();
        throw new Error(`the engine did not start; end of ${this.logFile}:\n${this.logTail()}`);
      }
      await Bun.sleep(POLL_MS);
    }
  }

  async answers(): Promise<boolean> {
    try {
      return (await this.fetch("/_ping")).status === 200;
    } catch {
      return false;
    }
  }

  /** One request to the Engine API, such as `fetch("/containers/json?all=1")`. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    // A connection of its own: one that was refused in the middle of an upload may be closed late.
    return fetch(`http://naru${path}`, { keepalive: false, ...init, unix: this.socket });
  }

  /** SIGTERM and wait; containers go on. Returns the exit code. Throws when it takes too long. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended(child);
    clearTimeout(timer);
    this.#child = undefined;
    if (child.signalCode === "SIGKILL") {
      throw new Error(`the engine did not stop; end of ${this.logFile}:\n${this.logTail()}`);
    }
    return child.exitCode;
  }

  /** SIGKILL and wait: a crash. */
  async kill9(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await ended(child);
    this.#child = undefined;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The last lines of the log, to show when something went wrong. */
  logTail(lines: number = 40): string {
    return readFileSync(this.logFile, "utf8").split("\n").slice(-lines).join("\n");
  }

  /** Forced removal of every container, running or not. */
  async removeContainers(): Promise<void> {
    const listed = await this.fetch("/containers/json?all=1");
    if (!listed.ok) throw new Error(`list: ${listed.status} ${await listed.text()}`);
    for (const { Id } of (await listed.json()) as readonly { Id: string }[]) {
      const gone = await this.fetch(`/containers/${Id}?force=1&v=1`, { method: "DELETE" });
      if (!gone.ok && gone.status !== 404) {
        throw new Error(`remove ${Id}: ${gone.status} ${await gone.text()}`);
      }
    }
  }

  /**
   * Removes the containers, asks `system check`, stops, looks for what is left in the kernel, and
   * deletes the roots. Throws when anything was left behind.
   */
  async destroy(): Promise<void> {
    const problems: string[] = [];
    try {
      if (this.#child === undefined || !(await this.answers())) {
        await this.kill9();
        await this.start();
      }
      await this.removeContainers();
      await this.fetch("/networks/prune", { method: "POST" });
      problems.push(...(await systemCheck(this)));
      await this.stop();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      await this.kill9();
    }
    problems.push(...(await leftovers(this, { cleanUp: true })));
    await rm(this.root, { recursive: true, force: true });
    if (problems.length > 0) {
      throw new Error(
        `left behind:\n${problems.join("\n")}\nlog: ${this.logFile}\n${this.logTail()}`,
      );
    }
  }
}

/** A running engine. The built file is used, or the sources when NARU_TEST_SOURCE=1. */
export async function startEngine(options: EngineOptions = {}): Promise<TestEngine> {
  mkdirSync(LOGS, { recursive: true });
  const engine = new TestEngine(await mkdtemp("/tmp/naru-e2e-"), options);
  noteEngine(engine);
  try {
    await engine.start();
    return engine;
  } catch (error) {
    await leftovers(engine, { cleanUp: true });
    await rm(engine.root, { recursive: true, force: true });
    throw error;
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/** A /24 of 10.128.0.0/9 which no interface of this host lies in. */
function freeSubnet(): string {
  const taken = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  for (;;) {
    const [a = 0, b = 0] = randomBytes(2);
    const prefix = `10.${128 + (a % 128)}.${b}`;
    if (!taken.some((address) => address.address.startsWith(`${prefix}.`))) return prefix;
  }
}
