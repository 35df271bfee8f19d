import { NaruError } from "../../base/mod.ts";
import type {
  ContainerSummary,
  DiskUsage,
  ImageSummary,
  LegacyDiskUsage,
  UsageOf,
  VolumeWithUsage,
} from "../../spec/mod.ts";
import { type EngineContext, type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { shapeFor } from "./shape.ts";

const USAGE_BY_KIND_SINCE = 1052; // older clients get lists and add up themselves
const KINDS: ReadonlySet<string> = new Set(["container", "image", "volume", "build-cache"]);
const ACTIVE: ReadonlySet<string> = new Set(["running", "paused", "restarting"]);

interface Found {
  readonly layersBytes: number;
  readonly images: ImageSummary[] | undefined;
  readonly containers: ContainerSummary[] | undefined;
  readonly volumes: VolumeWithUsage[] | undefined;
  /** naru builds no images yet: there is no cache, and it is empty. */
  readonly hasCache: boolean;
}

const diskUsage: PlainHandler = async (call, context) => {
  const asked = call.query.all("type");
  const wrong = asked.find((kind) => !KINDS.has(kind));
  if (wrong !== undefined) {
    throw new NaruError("invalid_argument", `unknown object type: ${wrong.slice(0, 60)}`, {
      field: "type",
    });
  }
  const found = await findAll(context, new Set(asked.length === 0 ? KINDS : asked));
  if (call.version < USAGE_BY_KIND_SINCE) call.json(legacyUsage(found, call.version));
  else call.json(usageByKind(found, call.query.flag("verbose")));
};

async function findAll(
  { containers, images, volumes }: EngineContext,
  kinds: ReadonlySet<string>,
): Promise<Found> {
  const noFilters = new Map<string, readonly string[]>();
  return {
    layersBytes: kinds.has("image") ? containers.layersSizeBytes() : 0,
    images: kinds.has("image")
      ? await images.list({ all: false, sharedSize: true, filters: noFilters })
      : undefined,
    containers: kinds.has("container")
      ? await containers.list({ all: true, limit: 0, size: true, filters: noFilters })
      : undefined,
    volumes: kinds.has("volume") ? await volumes.usage() : undefined,
    hasCache: kinds.has("build-cache"),
  };
}

function legacyUsage(found: Found, version: number): LegacyDiskUsage {
  return {
    LayersSize: found.layersBytes,
    Images: found.images?.map((one) => shapeFor("imageSummary", version, one)) ?? null,
    Containers: found.containers?.map((one) => shapeFor("containerSummary", version, one)) ?? null,
    Volumes: found.volumes ?? null,
    BuildCache: found.hasCache ? [] : null,
  };
}

/** Sums as docker's client made them of the lists. */
export function usageByKind(found: Found, verbose: boolean): DiskUsage {
  const { images, containers, volumes, hasCache, layersBytes } = found;
  const items = <T>(all: T[]): { Items?: T[] } => (verbose ? { Items: all } : {});
  return {
    ...(images === undefined
      ? {}
      : { ImageUsage: { ...imageUsage(images, layersBytes), ...items(images) } }),
    ...(containers === undefined
      ? {}
      : { ContainerUsage: { ...containerUsage(containers), ...items(containers) } }),
    ...(volumes === undefined
      ? {}
      : { VolumeUsage: { ...volumeUsage(volumes), ...items(volumes) } }),
    ...(hasCache ? { BuildCacheUsage: { ...NOTHING, ...items([]) } } : {}),
  };
}

type Sums = Omit<UsageOf<never>, "Items">;
const NOTHING: Sums = { ActiveCount: 0, TotalCount: 0, Reclaimable: 0, TotalSize: 0 };

function imageUsage(images: readonly ImageSummary[], layersBytes: number): Sums {
  const active = images.filter(({ Containers: users }) => users > 0);
  const kept = sum(active.map(({ Size: size, SharedSize: shared }) => size - shared));
  return {
    ActiveCount: active.length,
    TotalCount: images.length,
    Reclaimable: Math.max(0, layersBytes - kept),
    TotalSize: layersBytes,
  };
}

function containerUsage(containers: readonly ContainerSummary[]): Sums {
  const sizeOf = ({ SizeRw: size }: ContainerSummary): number => size ?? 0;
  const idle = containers.filter(({ State: state }) => !ACTIVE.has(state));
  return {
    ActiveCount: containers.length - idle.length,
    TotalCount: containers.length,
    Reclaimable: sum(idle.map(sizeOf)),
    TotalSize: sum(containers.map(sizeOf)),
  };
}

function volumeUsage(volumes: readonly VolumeWithUsage[]): Sums {
  // -1 is not known: a file system from elsewhere.
  const sizeOf = ({ UsageData: { Size: size } }: VolumeWithUsage): number => Math.max(0, size);
  const idle = volumes.filter(({ UsageData: { RefCount: users } }) => users === 0);
  return {
    ActiveCount: volumes.length - idle.length,
    TotalCount: volumes.length,
    Reclaimable: sum(idle.map(sizeOf)),
    TotalSize: sum(volumes.map(sizeOf)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export const DISK_USAGE_ROUTES: readonly EngineRoute[] = [
  plain("GET /system/df", diskUsage, { since: 1025 }),
];
