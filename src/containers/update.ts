import { errorMessage, isNaruError, NaruError } from "../base/mod.ts";
import { type DeviceLimit, liftPidsLimit, setDeviceLimits } from "../linux/mod.ts";
import { buildResources, type SpecResources } from "../runtime/mod.ts";
import type { ContainerUpdateBody, HostConfig, RuntimeResources } from "../spec/mod.ts";
import { crashPoint } from "./crash-point.ts";
import type { ContainerRecord } from "./record.ts";
import { bundleDir, cancelRestart, publish, type Room } from "./room.ts";
import { planResources } from "./spec-input.ts";
import { groupOf } from "./stats.ts";
import { planUpdate, withoutZeroRates } from "./update-plan.ts";

const PIDS_UNLIMITED = -1;

/**
 * Changes a container's limits, in the queue. The row says what is wanted before the kernel is told,
 * and that it may not know yet (`updating`); an engine that finds such a row tells it again. A
 * kernel that refuses gets the old limits back, and so does the row.
 */
export async function updateContainer(
  room: Room,
  id: string,
  body: ContainerUpdateBody,
): Promise<{ warnings: string[] }> {
  const before = room.table.must(id);
  const {
    hostConfig,
    live: limits,
    touched,
  } = planUpdate(before.hostConfig, body, room.options.host.cgroupMode);
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const resources = resourcesOf(room, limits, touched, warn);
  const live = before.state.kind === "running" && touched.size > 0;
  if (!live) {
    await room.table.update(id, (now) => ({ ...now, hostConfig }));
  } else {
    await room.table.update(id, (now) => ({ ...now, hostConfig: limits, updating: true }));
    crashPoint("update.after-intent");
    try {
      await apply(room, before, resources);
    } catch (error) {
      await undo(room, before, touched);
      throw error;
    }
    crashPoint("update.after-apply");
    await room.table.update(id, settled);
  }
  await followPolicy(room, id);
  publish(room, room.table.must(id), "update");
  return { warnings };
}

/** In recovery: the kernel of a running container may not have been told what its row says. */
export async function finishUpdate(room: Room, id: string): Promise<void> {
  const record = room.table.must(id);
  if (record.updating !== true) return;
  try {
    const resources = resourcesOf(room, record.hostConfig, undefined, () => undefined);
    if (record.state.kind === "running") await apply(room, record, resources);
  } catch (error) {
    room.options.logger.warn("finishing an update", { id, error });
  }
  await room.table.update(id, settled);
}

function settled(record: ContainerRecord): ContainerRecord {
  const { updating: _, ...rest } = record;
  return { ...rest, hostConfig: withoutZeroRates(rest.hostConfig) };
}

/** In the runtime's words: what is touched, or everything that is limited. */
function resourcesOf(
  room: Room,
  hostConfig: HostConfig,
  touched: ReadonlySet<keyof SpecResources> | undefined,
  warn: (message: string) => void,
): RuntimeResources {
  const all = planResources(hostConfig);
  const chosen =
    touched === undefined
      ? all
      : (Object.fromEntries([...touched].map((name) => [name, all[name]])) as SpecResources);
  const resources = buildResources(chosen, room.options.host, warn);
  const hasPids = room.options.host.controllers.has("pids");
  if (chosen.pidsLimit !== undefined && chosen.pidsLimit <= 0 && hasPids) {
    resources.pids = { limit: PIDS_UNLIMITED };
  }
  if (touched?.has("oomKillDisable") === true && chosen.oomKillDisable === false) {
    resources.memory = { ...resources.memory, disableOOMKiller: false };
  }
  return resources;
}

/**
 * Most by the runtime, which also tells systemd where that keeps the groups; what runtimes do not
 * write by the engine. A container that ended meanwhile has nothing to be told.
 */
async function apply(
  room: Room,
  { id, runtime, state }: ContainerRecord,
  resources: RuntimeResources,
): Promise<void> {
  const { told, devices, anyPids } = splitResources(resources);
  try {
    if (Object.keys(told).length > 0) {
      await room.options.monitor.update(id, runtime, told, bundleDir(room, id));
    }
    const group = state.kind === "running" ? groupOf(id, state.handle) : undefined;
    if (group === undefined) return;
    if (anyPids) liftPidsLimit(group);
    setDeviceLimits(group, devices);
  } catch (error) {
    if (room.table.must(id).state.kind !== "running") return;
    if (isNaruError(error)) throw error;
    const why = `cannot update container ${id}: ${errorMessage(error)}`;
    throw new NaruError("invalid_argument", why, { id }, { cause: error });
  }
}

interface Split {
  readonly told: RuntimeResources;
  readonly devices: readonly DeviceLimit[];
  readonly anyPids: boolean;
}

/** What the runtime is told, and what the engine writes itself. */
function splitResources(resources: RuntimeResources): Split {
  const { pids, blockIO, ...others } = resources;
  const anyPids = pids?.limit === PIDS_UNLIMITED;
  const rates = (
    [
      ["readBps", blockIO?.throttleReadBpsDevice],
      ["writeBps", blockIO?.throttleWriteBpsDevice],
      ["readIops", blockIO?.throttleReadIOPSDevice],
      ["writeIops", blockIO?.throttleWriteIOPSDevice],
    ] as const
  ).flatMap(([kind, list]) =>
    (list ?? []).map(({ rate, ...at }) => ({ ...at, kind, value: rate })),
  );
  const weights = (blockIO?.weightDevice ?? []).map(({ weight, ...at }) => ({
    ...at,
    kind: "weight" as const,
    value: weight,
  }));
  const told = {
    ...others,
    ...(pids === undefined || anyPids ? {} : { pids }),
    ...(blockIO?.weight === undefined ? {} : { blockIO: { weight: blockIO.weight } }),
  };
  return { told, devices: [...rates, ...weights], anyPids };
}

async function undo(
  room: Room,
  before: ContainerRecord,
  touched: ReadonlySet<keyof SpecResources>,
): Promise<void> {
  try {
    await apply(
      room,
      before,
      resourcesOf(room, before.hostConfig, touched, () => undefined),
    );
  } catch (error) {
    room.options.logger.warn("going back from a refused update", { id: before.id, error });
  }
  await room.table.update(before.id, (now) => ({
    ...settled(now),
    hostConfig: before.hostConfig,
  }));
}

/** One that waits for its next start does not get it when the policy says so no more. */
async function followPolicy(room: Room, id: string): Promise<void> {
  const { state, hostConfig } = room.table.must(id);
  if (state.kind !== "restarting" || !["", "no"].includes(hostConfig.RestartPolicy.Name)) return;
  cancelRestart(room, id);
  await room.table.update(id, (now) => {
    if (now.state.kind !== "restarting") return now;
    const { againAtNs: _, ...exit } = now.state;
    return { ...now, state: { ...exit, kind: "exited" } };
  });
}
