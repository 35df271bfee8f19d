import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { type Clock, KeyedQueue, NaruError, newId, shortId } from "../base/mod.ts";
import type { EventBus } from "../events/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { VolumeBody } from "../spec/mod.ts";
import type { Metadata, WorkQueue } from "../storage/mod.ts";
import type {
  PluginVolumeDrivers,
  PreparedVolume,
  Volume,
  VolumeArchives,
  VolumeDriver,
  VolumeRequest,
  VolumeService,
  VolumeUsers,
} from "./contract.ts";
import { copyUp } from "./copy-up.ts";
import { crashPoint } from "./crash-point.ts";
import { compileListFilters, compilePruneFilters } from "./list-filter.ts";
import { createLocalDriver, LOCAL_DRIVER, type LocalDriver } from "./local-driver.ts";
import { noSuchVolume, shownName } from "./name.ts";
import { askPlugins } from "./plugin-driver.ts";
import { SnapshotStore } from "./snapshot-store.ts";
import { handleTrash, planTrash } from "./trash.ts";
import { pluginBody, volumeBody } from "./view.ts";
import { createVolumeBackups } from "./volume-backups.ts";
import { adoptStrays, markOf, sweepExchanged, unmountUnheld } from "./volume-recovery.ts";

export interface VolumeServiceOptions {
  readonly metadata: Metadata;
  readonly work: WorkQueue;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `volumes/` under the data root. */
  readonly dir: string;
  /** Where snapshots are kept; made when there is the first. */
  readonly snapshotsDir: string;
  readonly users: VolumeUsers;
  readonly archives: VolumeArchives;
  readonly plugins: PluginVolumeDrivers;
}

/** Registers its work with the queue; call `recover` before the first request. */
export function createVolumeService(options: VolumeServiceOptions): VolumeService {
  handleTrash(options);
  return new Volumes(options);
}

class Volumes implements VolumeService {
  readonly #options: VolumeServiceOptions;
  readonly #local: LocalDriver;
  readonly #volumes: Map<string, Volume> = new Map();
  /** Prepared and neither adopted nor abandoned: such a volume is not removed. */
  readonly #prepared: Map<string, { readonly volume: Volume; count: number }> = new Map();
  /** By volume: its users, and where each was told that it is. */
  readonly #held: Map<string, Map<string, string>> = new Map();
  /** One at a time for each volume: mounting, copying, removing. */
  readonly #queue: KeyedQueue<string> = new KeyedQueue();
  readonly #snapshots: SnapshotStore;
  readonly backups: VolumeService["backups"];

  constructor(options: VolumeServiceOptions) {
    this.#options = options;
    this.#local = createLocalDriver(options.dir);
    for (const [name, row] of options.metadata.rows("volumes")) {
      this.#volumes.set(name, row as Volume);
    }
    this.#snapshots = new SnapshotStore(options.snapshotsDir);
    this.backups = createVolumeBackups({
      volumes: this,
      ...options,
      store: this.#snapshots,
      markOf: (name) => markOf(options.dir, this.#must(name), "unfinished"),
    });
  }

  get: VolumeService["get"] = (name) => this.#volumes.get(name);
  all: VolumeService["all"] = () => this.#volumes.values();

  // --- for containers ------------------------------------------------------------------------

  prepare: VolumeService["prepare"] = async (request) => {
    const existing = this.#claim(request);
    if (existing !== undefined) return existing;
    const anonymous = request.name === "";
    const name = anonymous ? newId() : request.name;
    const volume: Volume = {
      version: 1,
      name,
      driver: request.driver === "" ? LOCAL_DRIVER : request.driver,
      createdAtNs: this.#options.clock.nowNs().toString(),
      labels: request.labels,
      ...(Object.keys(request.options).length === 0 ? {} : { options: request.options }),
      anonymous,
    };
    await this.#queue.run(name, async () => {
      const driver = await this.#driverNamed(volume.driver, name);
      await driver.create(name, request.options).catch((error: unknown) => {
        throw inCreate(name, error);
      });
    });
    // Another request for the same name may have come first meanwhile.
    const meanwhile = this.#claim({ ...request, name });
    if (meanwhile !== undefined) return meanwhile;
    this.#prepared.set(name, { volume, count: 1 });
    return { volume, change: { table: "volumes", key: name, value: volume } };
  };

  /** The volume that has the name, or is about to have it. Throws conflict for another driver's. */
  #claim({ name, driver }: VolumeRequest): PreparedVolume | undefined {
    const pending = this.#prepared.get(name);
    const volume = this.#volumes.get(name) ?? pending?.volume;
    if (volume === undefined) return undefined;
    if (driver !== "" && driver !== volume.driver) {
      throw new NaruError("conflict", `create ${name}: volume name must be unique`, {
        volume: name,
        driver: volume.driver,
      });
    }
    if (pending === undefined) this.#prepared.set(name, { volume, count: 1 });
    else pending.count += 1;
    const isNew = !this.#volumes.has(name);
    return { volume, change: isNew ? { table: "volumes", key: name, value: volume } : undefined };
  }

  adopt: VolumeService["adopt"] = (prepared) => {
    for (const { volume } of prepared) {
      this.#unclaim(volume.name);
      if (this.#volumes.has(volume.name)) continue;
      this.#volumes.set(volume.name, volume);
      if (volume.driver === LOCAL_DRIVER) this.#inBackground(this.#local.recorded(volume));
      this.#publish(volume, "create");
    }
  };

  abandon: VolumeService["abandon"] = (prepared) => {
    for (const { volume, change } of prepared) {
      const left = this.#unclaim(volume.name);
      if (change === undefined || left > 0 || this.#volumes.has(volume.name)) continue;
      this.#inBackground(this.#queue.run(volume.name, () => this.#undoCreate(volume)));
    }
  };

  async #undoCreate(volume: Volume): Promise<void> {
    if (this.#volumes.has(volume.name) || this.#prepared.has(volume.name)) return;
    if (volume.driver === LOCAL_DRIVER) return this.#local.undoCreate(volume);
    await (await this.#driverOf(volume)).remove(volume.name);
  }

  #unclaim(name: string): number {
    const pending = this.#prepared.get(name);
    if (pending === undefined) return 0;
    pending.count -= 1;
    if (pending.count === 0) this.#prepared.delete(name);
    return pending.count;
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.logger.warn("volumes", { error }));
  }

  pathOf: VolumeService["pathOf"] = (name) => {
    const told = this.#held.get(name)?.values().next().value;
    if (told !== undefined && told !== "") return told;
    const driver = this.#volumes.get(name)?.driver ?? LOCAL_DRIVER;
    return driver === LOCAL_DRIVER ? this.#local.pathOf(name) : "";
  };

  acquire: VolumeService["acquire"] = (name, user) => {
    const held = this.#held.get(name)?.get(user);
    if (held !== undefined && held !== "") return Promise.resolve(held);
    return this.#queue.run(name, async () => {
      const volume = this.#must(name);
      const driver = await this.#driverOf(volume);
      const users = this.#held.get(name) ?? new Map<string, string>();
      this.#checkWhole(volume);
      const path = await driver.mount(volume, { user, first: users.size === 0 });
      users.set(user, path);
      this.#held.set(name, users);
      crashPoint("volume-mount.after-mount");
      return path;
    });
  };

  release: VolumeService["release"] = (name, user) => {
    if (this.#held.get(name)?.has(user) !== true) return Promise.resolve();
    return this.#queue.run(name, async () => {
      const users = this.#held.get(name);
      if (users?.delete(user) !== true) return;
      const last = users.size === 0;
      if (last) this.#held.delete(name);
      const volume = this.#volumes.get(name);
      if (volume === undefined) return;
      crashPoint("volume-unmount.before-unmount");
      await (await this.#driverOf(volume)).unmount(volume, { user, last });
    });
  };

  hold: VolumeService["hold"] = (name, user) => {
    const users = this.#held.get(name) ?? new Map<string, string>();
    const isLocal = (this.#volumes.get(name)?.driver ?? LOCAL_DRIVER) === LOCAL_DRIVER;
    users.set(user, isLocal ? this.#local.pathOf(name) : "");
    this.#held.set(name, users);
  };

  /** A volume that is no directory may have been left half full by a backup that was cut off. */
  #checkWhole(volume: Volume): void {
    if (this.#isDirectory(volume)) return;
    if (!existsSync(markOf(this.#options.dir, volume, "unfinished"))) return;
    throw new NaruError(
      "conflict",
      `volume ${volume.name} holds a part of a restore or an import that was cut off: do it again`,
    );
  }

  #isDirectory(volume: Volume): boolean {
    return volume.driver === LOCAL_DRIVER && this.#local.isDirectory(volume);
  }

  exclusively: VolumeService["exclusively"] = (name, task) =>
    this.#queue.run(name, async () => {
      const volume = this.#must(name);
      const running = this.#options.users.usersOf(name).filter((user) => user.running);
      const holders = running.map(({ containerId }) => containerId);
      if (holders.length > 0 || this.#held.has(name)) {
        const who = holders.length > 0 ? ` by running containers - [${holders.join(", ")}]` : "";
        throw new NaruError("conflict", `volume ${name} is in use${who}`, { volume: name });
      }
      const driver = await this.#driverOf(volume);
      const user = `backup-${shortId(newId())}`;
      const path = await driver.mount(volume, { user, first: true });
      try {
        return await task({
          ...{ volume, path, isDirectory: this.#isDirectory(volume) },
          makeBeside: (beside) => this.#local.makeBeside(volume, beside),
        });
      } finally {
        await driver.unmount(volume, { user, last: true });
      }
    });

  copyUp: VolumeService["copyUp"] = (name, sourceDir) => {
    const targetDir = this.pathOf(name);
    if (targetDir === "") return Promise.reject(noSuchVolume(name));
    return this.#queue.run(name, () =>
      copyUp({
        sourceDir,
        targetDir,
        mark: markOf(this.#options.dir, this.#must(name), "copying"),
      }),
    );
  };

  planRemoval: VolumeService["planRemoval"] = (names) => {
    const wanted = names.filter((name) => !this.#prepared.has(name)); // by a create under way
    const going = wanted.flatMap((name) => this.#volumes.get(name) ?? []);
    const trash = planTrash(this.#options, going);
    return {
      changes: trash.changes,
      done: () => {
        for (const { name } of going) this.#volumes.delete(name);
        trash.done();
        for (const volume of going) this.#publish(volume, "destroy");
      },
    };
  };

  recover: VolumeService["recover"] = async () => {
    await mkdir(this.#options.dir, { recursive: true, mode: 0o701 });
    unmountUnheld(this.#options, new Set(this.#held.keys()));
    await Promise.all([
      this.#snapshots.sweep(),
      sweepExchanged(this.#options.dir, this.#volumes.values()),
    ]);
    for (const volume of await adoptStrays(this.#options, this.#volumes)) {
      this.#volumes.set(volume.name, volume);
    }
  };

  // --- for people ----------------------------------------------------------------------------

  create: VolumeService["create"] = async (request) => {
    const prepared = await this.prepare(request);
    const { volume, change } = prepared;
    try {
      // People look into it at once. Before the row: a crash leaves a volume that nobody was told of.
      if (volume.driver === LOCAL_DRIVER) await this.#local.materialise(volume.name);
      crashPoint("volume-create.before-commit");
      if (change !== undefined) await this.#options.metadata.commit([change]);
    } catch (error) {
      this.abandon([prepared]);
      throw error;
    }
    crashPoint("volume-create.after-commit");
    this.adopt([prepared]);
    return this.inspect(volume.name);
  };

  inspect: VolumeService["inspect"] = async (name) => {
    const volume = this.#volumes.get(name);
    if (volume === undefined) return this.#inspectForeign(name);
    if (volume.driver === LOCAL_DRIVER) return this.#bodyOf(volume);
    const driver = await this.#options.plugins.driver(volume.driver);
    const seen = await driver.look(name);
    if (seen === undefined) throw noSuchVolume(name);
    return { ...this.#bodyOf(volume), ...pluginBody(seen, driver) };
  };

  /** One that a plugin has from elsewhere. */
  async #inspectForeign(name: string): Promise<VolumeBody> {
    const answers = await askPlugins(this.#options.plugins, async (driver) => {
      const seen = await driver.look(name);
      return seen === undefined
        ? undefined
        : foreignBody(pluginBody(seen, driver), seen.name, driver.name);
    });
    // One that does not answer has nothing to say.
    for (const { value } of answers) if (value !== undefined) return value;
    throw noSuchVolume(name);
  }

  list: VolumeService["list"] = async (filters) => {
    const fits = compileListFilters(filters, (name) => this.#usersOf(name).length > 0);
    const warnings: string[] = [];
    const volumes = [...this.#volumes.values()].filter(fits).map((volume) => this.#bodyOf(volume));
    const answers = await askPlugins(this.#options.plugins, async (driver) =>
      (await driver.list())
        .filter((seen) => !this.#volumes.has(seen.name) && fits(asVolume(seen.name, driver.name)))
        .map((seen) => foreignBody(pluginBody(seen, driver), seen.name, driver.name)),
    );
    for (const { value, problem } of answers) {
      volumes.push(...(value ?? []));
      if (problem !== "") warnings.push(problem);
    }
    return { volumes: volumes.sort((a, b) => (a.Name < b.Name ? -1 : 1)), warnings };
  };

  remove: VolumeService["remove"] = async (name, { force }) => {
    if (!this.#volumes.has(name)) {
      if (force) return;
      throw noSuchVolume(name);
    }
    await this.#queue.run(name, async () => {
      const volume = this.#volumes.get(name);
      if (volume === undefined) return;
      this.#checkUnused(name);
      await this.#removeFromDriver(volume, force);
      this.#checkUnused(name);
      await this.#removeNow(volume);
    });
  };

  async #removeFromDriver(volume: Volume, force: boolean): Promise<void> {
    if (volume.driver === LOCAL_DRIVER) return;
    try {
      await (await this.#driverOf(volume)).remove(volume.name);
    } catch (error) {
      if (!force) throw error;
      this.#options.logger.warn("a plugin does not remove its volume", {
        volume: volume.name,
        error,
      });
    }
  }

  async #removeNow(volume: Volume): Promise<void> {
    const removal = this.planRemoval([volume.name]);
    crashPoint("volume-remove.before-commit");
    await this.#options.metadata.commit(removal.changes);
    crashPoint("volume-remove.after-commit");
    removal.done();
  }

  #checkUnused(name: string): void {
    const users = this.#usersOf(name);
    if (users.length === 0) return;
    throw new NaruError("conflict", `remove ${name}: volume is in use - [${users.join(", ")}]`);
  }

  /** Containers that refer to it or are about to. */
  #usersOf(name: string): string[] {
    const ids = this.#options.users.usersOf(name).map(({ containerId }) => containerId);
    if (ids.length === 0 && this.#prepared.has(name)) return ["a container that is being created"];
    return ids;
  }

  prune: VolumeService["prune"] = async (filters, { named }) => {
    const fits = compilePruneFilters(filters, { named });
    const deleted: string[] = [];
    let freedBytes = 0;
    for (const volume of [...this.#volumes.values()]) {
      // Others' volumes are not ours to prune: Docker leaves them alone too.
      if (volume.driver !== LOCAL_DRIVER || !fits(volume)) continue;
      if (this.#usersOf(volume.name).length > 0) continue;
      const sizeBytes = Math.max(0, await this.#local.sizeBytes(volume));
      try {
        await this.remove(volume.name, { force: false });
      } catch (error) {
        if (error instanceof NaruError && ["conflict", "not_found"].includes(error.kind)) continue;
        throw error;
      }
      deleted.push(volume.name);
      freedBytes += sizeBytes;
    }
    this.#options.events.publish({
      type: "volume",
      action: "prune",
      id: "",
      attributes: { reclaimed: String(freedBytes) },
    });
    return { VolumesDeleted: deleted, SpaceReclaimed: freedBytes };
  };

  usage: VolumeService["usage"] = async () => {
    const found: Awaited<ReturnType<VolumeService["usage"]>> = [];
    for (const volume of [...this.#volumes.values()]) {
      const isLocal = volume.driver === LOCAL_DRIVER;
      const Size = isLocal ? await this.#local.sizeBytes(volume).catch(() => -1) : -1;
      const RefCount = this.#options.users.usersOf(volume.name).length;
      found.push({ ...this.#bodyOf(volume), UsageData: { Size, RefCount } });
    }
    return found;
  };

  #bodyOf(volume: Volume): VolumeBody {
    return volumeBody(volume, { mountpoint: this.pathOf(volume.name) });
  }

  #must(name: string): Volume {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw noSuchVolume(name);
    return volume;
  }

  #driverOf(volume: Volume): Promise<VolumeDriver> {
    return this.#driverNamed(volume.driver, volume.name);
  }

  async #driverNamed(driver: string, volume: string): Promise<VolumeDriver> {
    if (driver === LOCAL_DRIVER) return this.#local;
    try {
      return await this.#options.plugins.driver(driver);
    } catch (error) {
      throw inCreate(volume, error);
    }
  }

  #publish(volume: Volume, action: "create" | "destroy"): void {
    const attributes = { driver: volume.driver };
    this.#options.events.publish({ type: "volume", action, id: volume.name, attributes });
  }
}

/** Docker's way to say what was being done. */
function inCreate(name: string, error: unknown): unknown {
  if (!(error instanceof NaruError) || error.message.startsWith("create ")) return error;
  const message = `create ${shownName(name)}: ${error.message}`;
  return new NaruError(error.kind, message, error.details, { cause: error });
}

/** What a plugin has, in the form that filters look at. */
function asVolume(name: string, driver: string): Volume {
  return { version: 1, name, driver, createdAtNs: "0", labels: {}, anonymous: false };
}

function foreignBody(
  about: ReturnType<typeof pluginBody>,
  name: string,
  driver: string,
): VolumeBody {
  return { Name: name, Driver: driver, Labels: null, Options: null, ...about };
}
