import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage, KeyedQueue, NaruError } from "../base/mod.ts";
import { DEFAULT_SECCOMP_PROFILE } from "../runtime/mod.ts";
import { afterRun } from "./after-run.ts";
import { attachContainer } from "./attach.ts";
import { commitContainer } from "./commit.ts";
import { ContainerTable } from "./container-table.ts";
import type { ContainerListOptions, ContainerService, StopOptions } from "./contract.ts";
import { createContainer } from "./create.ts";
import { layersSizeBytes } from "./disk-usage.ts";
import { createExec, inspectExec, type RunningExecs, resizeExec, startExec } from "./exec.ts";
import { ExecTable } from "./exec-table.ts";
import { fileOperations } from "./files.ts";
import { whileVolumePaused } from "./freeze.ts";
import { HealthChecks } from "./health.ts";
import { compileListFilters, compilePruneFilters, type Filters } from "./list-filter.ts";
import { checkLogStreams, closeLogs, logPrefixOf, readLogs, rotateRegularly } from "./logs.ts";
import { connectNetwork, disconnectNetwork } from "./networks.ts";
import type { ContainerRecord } from "./record.ts";
import { recoverAll, recoverExec } from "./recovery.ts";
import { alreadyRemoving, handleRemovalWork, removeContainer, stillRunning } from "./remove.ts";
import { renameContainer } from "./rename.ts";
import {
  bundleDir,
  type ContainerServiceOptions,
  cancelRestart,
  notRunning,
  publish,
  type Room,
} from "./room.ts";
import { startContainer } from "./start.ts";
import { type ContainerLifeState, isRunning, settledState, statusWord } from "./state.ts";
import { readStats } from "./stats.ts";
import { killContainer, setPaused, stopContainer } from "./stop.ts";
import { createTerminalDriver } from "./terminals.ts";
import { topOf } from "./top.ts";
import { updateContainer } from "./update.ts";
import { updatePorts } from "./update-ports.ts";
import { inspectOf, listFilterContext, sizeOf, summaryOf } from "./views.ts";
import { usersOfVolume } from "./volume-use.ts";
import { Waiters, type WaitResult } from "./waiters.ts";

/** What must be given; the rest is the runtime room's own. */
export type ContainerServiceSetup = Omit<ContainerServiceOptions, "terminals" | "seccompProfile"> &
  Partial<Pick<ContainerServiceOptions, "terminals" | "seccompProfile">>;

/** Registers its work with the queue; call `recover` before the first request. */
export async function createContainerService(
  setup: ContainerServiceSetup,
): Promise<ContainerService> {
  const options: ContainerServiceOptions = {
    terminals: createTerminalDriver(setup.clock, setup.logger),
    seccompProfile: DEFAULT_SECCOMP_PROFILE,
    ...setup,
  };
  await Promise.all([
    mkdir(options.dataDir, { recursive: true, mode: 0o710 }),
    mkdir(join(options.runDir, "bundles"), { recursive: true, mode: 0o700 }),
    mkdir(join(options.runDir, "execs"), { recursive: true, mode: 0o700 }),
  ]);
  const health = new HealthChecks();
  const room: Room = {
    options,
    table: new ContainerTable(options.metadata),
    execs: new ExecTable(options.metadata, (error) => {
      options.logger.error("writing an exec", { error });
    }),
    queue: new KeyedQueue(),
    waiters: new Waiters(),
    health,
    live: new Map(),
    pending: new Map(),
    logs: new Map(),
    unread: new Map(),
    leavingLogs: new Map(),
    removing: new Set(),
    restarts: new Map(),
    afterRun: (id) => afterRun(room, id),
    closing: false,
  };
  health.attachTo(room);
  handleRemovalWork(room);
  return new Service(room);
}

const CLOSE_WAIT_MS = 5_000; // starts and exits under way take milliseconds

/** Decodes references, queues what writes, and hands on. */
class Service implements ContainerService {
  readonly #room: Room;
  readonly #running: RunningExecs = new Map();
  readonly #stopRotation: () => void;
  readonly files: ContainerService["files"];

  constructor(room: Room) {
    this.#room = room;
    this.files = {
      ...fileOperations(room),
      commit: (ref, request, signal) => commitContainer(room, ref, request, signal),
    };
    this.#stopRotation = rotateRegularly(room);
  }

  create: ContainerService["create"] = (body, options) =>
    createContainer(this.#room, body, options);

  start: ContainerService["start"] = (ref) =>
    this.#write(ref, (id) => startContainer(this.#room, id, { byUser: true }));

  stop: ContainerService["stop"] = (ref, options) =>
    this.#write(ref, (id) => stopContainer(this.#room, id, options));

  restart: ContainerService["restart"] = (ref, options) =>
    this.#write(ref, async (id) => {
      await this.#stopIfRunning(id, options);
      await startContainer(this.#room, id, { byUser: true });
      publish(this.#room, this.#room.table.must(id), "restart");
    });

  kill: ContainerService["kill"] = async (ref, signal) => {
    const found = this.#findToKill(ref);
    await killContainer(this.#room, found.id, signal);
  };

  pause: ContainerService["pause"] = (ref) =>
    this.#write(ref, (id) => setPaused(this.#room, id, true));

  unpause: ContainerService["unpause"] = (ref) =>
    this.#write(ref, (id) => setPaused(this.#room, id, false));

  connectNetwork: ContainerService["connectNetwork"] = (ref, network, settings) =>
    this.#write(ref, (id) => connectNetwork(this.#room, id, network, settings));

  disconnectNetwork: ContainerService["disconnectNetwork"] = (ref, network) =>
    this.#write(ref, (id) => disconnectNetwork(this.#room, id, network));

  rename: ContainerService["rename"] = (ref, newName) =>
    this.#write(ref, (id) => renameContainer(this.#room, id, newName));

  remove: ContainerService["remove"] = async (ref, options) => {
    const record = this.#find(ref);
    const { id } = record;
    if (this.#room.removing.has(id)) throw alreadyRemoving(id);
    if (record.state.kind === "restarting" && !options.force) throw stillRunning(record);
    if (isRunning(record.state)) {
      if (!options.force) throw stillRunning(record);
      await this.#killRun(id);
    }
    await this.#room.queue.run(id, async () => {
      // A start that was under way, by the restart policy say, has made it run since.
      if (options.force) await this.#killRun(id);
      // A container with AutoRemove is gone by its own exit.
      if (this.#room.table.get(id) === undefined) return;
      await removeContainer(this.#room, id, options);
    });
  };

  async #killRun(id: string): Promise<void> {
    const isLive = (): boolean =>
      this.#room.table.get(id)?.state.kind === "running" && this.#room.live.has(id);
    if (!isLive()) return;
    await killContainer(this.#room, id, "SIGKILL").catch((error: unknown) => {
      if (isLive()) throw error;
    });
  }

  prune: ContainerService["prune"] = async (filters: Filters) => {
    const nowNs = this.#room.options.clock.nowNs();
    const fits = compilePruneFilters(filters, nowNs);
    const stopped = [...this.#room.table.all()].filter(
      ({ state }) => state.kind === "created" || state.kind === "exited",
    );
    const deleted: string[] = [];
    let freedBytes = 0;
    for (const record of stopped.filter(fits)) {
      try {
        const size = await sizeOf(this.#room, record);
        await this.remove(record.id, { force: false, volumes: false });
        deleted.push(record.id);
        freedBytes += size.rwBytes;
      } catch (error) {
        this.#room.options.logger.warn("prune", { id: record.id, error });
      }
    }
    this.#room.options.events.publish({
      type: "container",
      action: "prune",
      id: "",
      attributes: { reclaimed: String(freedBytes) },
    });
    return { deleted, freedBytes };
  };

  wait: ContainerService["wait"] = async (ref, condition, signal) => {
    const record = this.#find(ref);
    const { state } = record;
    const settled = state.kind === "created" || state.kind === "exited";
    if (condition === "not-running" && settled) {
      return { result: Promise.resolve(lastResult(state)) };
    }
    return { result: this.#room.waiters.add(record.id, condition, signal) };
  };

  attach: ContainerService["attach"] = async (ref, client, options) =>
    attachContainer(this.#room, this.#find(ref), client, options);

  resize: ContainerService["resize"] = async (ref, size) => {
    const record = this.#find(ref);
    if (!isRunning(record.state)) throw notRunning(record);
    // Without a terminal nothing has a size; Docker says the event all the same.
    if (record.config.Tty) {
      this.#room.options.terminals.resize(bundleDir(this.#room, record.id), size);
    }
    publish(this.#room, record, "resize", {
      height: String(size.rows),
      width: String(size.columns),
    });
  };

  logs: ContainerService["logs"] = async (ref, options) => {
    checkLogStreams(options);
    const record = this.#find(ref);
    const entries = await readLogs(this.#room, record, options);
    return { tty: record.config.Tty, attributePrefix: logPrefixOf(record), entries };
  };

  inspect: ContainerService["inspect"] = async (ref, options) =>
    inspectOf(this.#room, this.#find(ref), options);

  list: ContainerService["list"] = async (options: ContainerListOptions) => {
    const fits = compileListFilters(options.filters, listFilterContext(this.#room));
    const byStatus = ["status", "exited", "before", "since"].some(
      (key) => (options.filters.get(key) ?? []).length > 0,
    );
    const all = options.all || options.limit > 0 || byStatus;
    const chosen = [...this.#room.table.all()]
      .filter(
        (record) => all || ["running", "paused", "restarting"].includes(statusWord(record.state)),
      )
      .filter(fits)
      .sort((a, b) => (BigInt(a.createdAtNs) < BigInt(b.createdAtNs) ? 1 : -1));
    const shown = options.limit > 0 ? chosen.slice(0, options.limit) : chosen;
    const nowNs = this.#room.options.clock.nowNs();
    return Promise.all(
      shown.map(async (record) =>
        summaryOf(
          this.#room,
          record,
          nowNs,
          options.size ? await sizeOf(this.#room, record) : undefined,
        ),
      ),
    );
  };

  stats: ContainerService["stats"] = (ref, options) =>
    readStats(this.#room, this.#find(ref).id, options);

  top: ContainerService["top"] = async (ref, psArgs) => topOf(this.#room, this.#find(ref), psArgs);

  update: ContainerService["update"] = (ref, body) =>
    this.#write(ref, (id) => updateContainer(this.#room, id, body));

  updatePorts: ContainerService["updatePorts"] = (ref, body) =>
    this.#write(ref, (id) => updatePorts(this.#room, id, body));

  layersSizeBytes: ContainerService["layersSizeBytes"] = () => layersSizeBytes(this.#room);

  isTty: ContainerService["isTty"] = (ref) => this.#find(ref).config.Tty;

  counts: ContainerService["counts"] = () => {
    const counts = { running: 0, paused: 0, stopped: 0 };
    for (const { state } of this.#room.table.all()) {
      if (state.kind === "running" && state.paused) counts.paused += 1;
      else if (state.kind === "running" || state.kind === "restarting") counts.running += 1;
      else counts.stopped += 1;
    }
    return counts;
  };

  usersOfImage: ContainerService["usersOfImage"] = (id) => {
    const users: { containerId: string; running: boolean }[] = [];
    for (const record of this.#room.table.all()) {
      const mounted = record.mounts.some(({ image }) => image?.id === id);
      if (record.imageId !== id && !mounted) continue;
      users.push({ containerId: record.id, running: isRunning(record.state) });
    }
    return users;
  };

  usersOfVolume: ContainerService["usersOfVolume"] = (name) => usersOfVolume(this.#room, name);

  whileVolumePaused: ContainerService["whileVolumePaused"] = (name, task) =>
    whileVolumePaused(this.#room, name, task);

  execCreate: ContainerService["execCreate"] = async (ref, body) =>
    createExec(this.#room, ref, body);

  execStart: ContainerService["execStart"] = (execId, options, client) =>
    startExec(this.#room, this.#running, execId, options, client);

  execResize: ContainerService["execResize"] = (execId, size) =>
    resizeExec(this.#room, this.#running, execId, size);

  execInspect: ContainerService["execInspect"] = (execId) => {
    const record = this.#room.execs.find(execId);
    // One that a former engine started: its monitor may have written its code since.
    if (record.state.kind === "running" && record.state.pid > 0 && !this.#running.has(execId)) {
      recoverExec(this.#room, record);
    }
    return inspectExec(this.#room.execs.find(execId));
  };

  execInfo: ContainerService["execInfo"] = (execId) => {
    const record = this.#room.execs.find(execId);
    return { tty: record.tty, attachStdin: record.attachStdin, detachKeys: record.detachKeys };
  };

  recover: ContainerService["recover"] = () => recoverAll(this.#room);

  close: ContainerService["close"] = async () => {
    const room = this.#room;
    this.#stopRotation();
    room.health.close();
    for (const id of room.restarts.keys()) cancelRestart(room, id);
    // A stop without a limit may wait for ever; what is cut off here is what recovery is for.
    const patience = Promise.withResolvers<void>();
    const cancel = room.options.clock.after(CLOSE_WAIT_MS, () => patience.resolve());
    await Promise.race([room.queue.idle(), patience.promise]);
    cancel();
    room.closing = true;
    for (const { hub } of room.live.values()) hub.close();
    await closeLogs(room);
  };

  #findToKill(ref: string): ContainerRecord {
    try {
      return this.#find(ref);
    } catch (error) {
      const why = errorMessage(error);
      throw new NaruError(
        "not_found",
        `Cannot kill container: ${ref}: ${why}`,
        {},
        { cause: error },
      );
    }
  }

  #find(ref: string): ContainerRecord {
    return this.#room.table.find(ref);
  }

  #write<T>(ref: string, task: (id: string) => Promise<T>): Promise<T> {
    let id: string;
    try {
      id = this.#find(ref).id;
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#room.queue.run(id, () => {
      this.#room.table.must(id); // it may be gone by the time its turn comes
      return task(id);
    });
  }

  async #stopIfRunning(id: string, options: StopOptions): Promise<void> {
    try {
      await stopContainer(this.#room, id, options);
    } catch (error) {
      if (!(error instanceof NaruError) || error.kind !== "not_modified") throw error;
    }
  }
}

/** What a wait on a container that does not run gets: the last exit, or why it did not start. */
function lastResult(state: ContainerLifeState): WaitResult {
  const settled = settledState(state);
  if (settled.error === "") return { exitCode: settled.exitCode, error: undefined };
  return { exitCode: settled.exitCode, error: settled.error };
}
