import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, MS_NS, newId } from "../base/mod.ts";
import { kill } from "../linux/mod.ts";
import { buildExecProcess, type ExecProcess, type StdioClient } from "../runtime/mod.ts";
import {
  afterProbe,
  type HealthPlan,
  type HealthState,
  newHealth,
  nextProbeMs,
  type ProbeResult,
  planHealth,
} from "./health-state.ts";
import { readHealth, writeHealth } from "./health-store.ts";
import { actOnUnhealthy } from "./on-unhealthy.ts";
import { containerDir, type HealthWatch, publish, type Room } from "./room.ts";

const OUTPUT_BYTES_MAX = 4096; // Docker keeps this much of each probe
const SIGKILL = 9;
const SHORT = 16; // of the probe's directory, see exec.ts

interface Check {
  readonly plan: HealthPlan;
  state: HealthState;
  cancel: () => void;
}

/** The health checks of what runs. Each result is kept in a file: the next engine goes on from it. */
export class HealthChecks implements HealthWatch {
  readonly #checks: Map<string, Check> = new Map();
  #room: Room | undefined;

  /** The room holds the checks and the checks need the room. */
  attachTo(room: Room): void {
    this.#room = room;
  }

  /** undefined without a check. */
  stateOf(id: string): HealthState | undefined {
    const check = this.#checks.get(id);
    if (check !== undefined) return check.state;
    return this.#load(id)?.state;
  }

  /** A run has begun. */
  started(id: string): void {
    const record = this.#room?.table.get(id);
    const plan = record === undefined ? undefined : planHealth(record.config);
    if (plan === undefined) return;
    this.stopped(id);
    const check: Check = { plan, state: newHealth(), cancel: () => undefined };
    this.#checks.set(id, check);
    this.#arm(id, check);
  }

  /** A run was found by a new engine: it goes on from where the former one was. */
  resumed(id: string): void {
    const check = this.#checks.get(id) ?? this.#load(id);
    if (check === undefined || this.#room === undefined) return;
    const last = check.state.Log.at(-1);
    const nowMs = Number(this.#room.options.clock.nowNs() / MS_NS);
    this.#arm(id, check, last === undefined ? 0 : nowMs - Date.parse(last.End));
  }

  /** The check of a container that this engine has not started. */
  #load(id: string): Check | undefined {
    const room = this.#room;
    const record = room?.table.get(id);
    const plan = record === undefined ? undefined : planHealth(record.config);
    if (room === undefined || record === undefined || plan === undefined) return undefined;
    const state = readHealth(containerDir(room, id), record.runNumber) ?? newHealth();
    const check: Check = { plan, state, cancel: () => undefined };
    this.#checks.set(id, check);
    return check;
  }

  /** Keeps the last state, which an inspect goes on showing. */
  stopped(id: string): void {
    this.#checks.get(id)?.cancel();
  }

  forget(id: string): void {
    this.stopped(id);
    this.#checks.delete(id);
  }

  close(): void {
    for (const check of this.#checks.values()) check.cancel();
  }

  #arm(id: string, check: Check, sinceLastMs = 0): void {
    const room = this.#room;
    const state = room?.table.get(id)?.state;
    if (room === undefined || state?.kind !== "running") return;
    const ranMs = Number((room.options.clock.nowNs() - BigInt(state.startedAtNs)) / MS_NS);
    let cancelled = false;
    const delayMs = nextProbeMs(check.state, check.plan, ranMs) - sinceLastMs;
    const cancelTimer = room.options.clock.after(Math.max(0, delayMs), () => {
      void this.#probe(room, id, check).then(() => {
        if (!cancelled) this.#arm(id, check);
      });
    });
    check.cancel = () => {
      cancelled = true;
      cancelTimer();
    };
  }

  async #probe(room: Room, id: string, check: Check): Promise<void> {
    const state = room.table.get(id)?.state;
    if (state?.kind !== "running" || state.paused || room.closing) return;
    const result = await probe(room, id, check.plan);
    const now = room.table.get(id);
    if (now === undefined || now.state.kind !== "running" || this.#checks.get(id) !== check) return;
    const before = check.state.Status;
    check.state = afterProbe(check.state, check.plan, result, BigInt(now.state.startedAtNs));
    writeHealth(containerDir(room, id), now.runNumber, check.state);
    if (check.state.Status === before) return;
    publish(room, now, `health_status: ${check.state.Status}`);
    if (check.state.Status !== "unhealthy") return;
    actOnUnhealthy(room, id, now.runNumber).catch((error: unknown) => {
      room.options.logger.error("acting on an unhealthy container", { id, error });
    });
  }
}

/** Runs the check once. Never throws: what goes wrong is a failed probe. */
async function probe(room: Room, id: string, plan: HealthPlan): Promise<ProbeResult> {
  const startNs = room.options.clock.nowNs();
  const execId = newId();
  const dir = join(room.options.runDir, "execs", execId.slice(0, SHORT));
  const output = new OutputKeeper();
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const process = await launchProbe(room, id, plan, { dir, output, execId });
    void process.exited.then(({ exitCode }) => tellEnd(room, id, execId, exitCode));
    const exitCode = await exitWithin(room, process, plan.timeoutMs);
    const late = `Health check exceeded timeout (${plan.timeoutMs / 1000}s)`;
    return {
      startNs,
      endNs: room.options.clock.nowNs(),
      exitCode: exitCode ?? -1,
      output: exitCode === undefined ? late : output.text(),
    };
  } catch (error) {
    const endNs = room.options.clock.nowNs();
    return { startNs, endNs, exitCode: -1, output: errorMessage(error) };
  } finally {
    await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }
}

function launchProbe(
  room: Room,
  id: string,
  plan: HealthPlan,
  to: { readonly dir: string; readonly output: StdioClient; readonly execId: string },
): Promise<ExecProcess> {
  const record = room.table.must(id);
  const live = room.live.get(id);
  if (live === undefined || record.state.kind !== "running") {
    throw new Error("the container does not run");
  }
  // A probe is an exec to those who watch, as with Docker.
  const command = plan.args.join(" ");
  publish(room, record, `exec_create: ${command}`, { execID: to.execId });
  publish(room, record, `exec_start: ${command}`, { execID: to.execId });
  return room.options.monitor.exec({
    containerId: id,
    execId: to.execId,
    name: record.name,
    runtime: record.runtime,
    process: buildExecProcess(
      live.process,
      {
        args: plan.args,
        env: [],
        cwd: undefined,
        user: undefined,
        terminal: false,
        consoleSize: undefined,
        privileged: false,
      },
      room.options.host,
    ),
    dir: to.dir,
    terminal: false,
    stdin: false,
    detached: false,
    onStdio: (hub) => void hub.attach(to.output),
    handle: record.state.handle,
  });
}

function tellEnd(room: Room, id: string, execId: string, exitCode: number): void {
  const record = room.table.get(id);
  if (record === undefined || room.closing) return;
  publish(room, record, "exec_die", { execID: execId, exitCode: String(exitCode) });
}

/** The exit code, or undefined after the time was up and the process was killed. */
async function exitWithin(
  room: Room,
  process: ExecProcess,
  timeoutMs: number,
): Promise<number | undefined> {
  const late = Promise.withResolvers<undefined>();
  const cancel = room.options.clock.after(timeoutMs, () => {
    if (process.pid > 0) kill(process.pid, SIGKILL);
    late.resolve(undefined);
  });
  try {
    return await Promise.race([process.exited.then(({ exitCode }) => exitCode), late.promise]);
  } finally {
    cancel();
  }
}

/** The first bytes of both streams. */
class OutputKeeper implements StdioClient {
  readonly stdout: boolean = true;
  readonly stderr: boolean = true;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  write(_stream: "stdout" | "stderr", bytes: Uint8Array): Promise<void> {
    const room = OUTPUT_BYTES_MAX - this.#bytes;
    if (room > 0) {
      const kept = Uint8Array.from(bytes.subarray(0, room));
      this.#chunks.push(kept);
      this.#bytes += kept.byteLength;
    }
    return Promise.resolve();
  }

  end(): void {
    // The exit says when it is over.
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}
