import { formatTimestamp } from "../base/mod.ts";
import type { VolumeBody } from "../spec/mod.ts";
import type { PluginVolume, PluginVolumeDriver, Volume } from "./contract.ts";
import { labelsOf } from "./list-filter.ts";

const NS_PER_S = 1_000_000_000n;

/** As clients see a volume. Empty maps are null, as Docker has them. */
export function volumeBody(volume: Volume, place: { readonly mountpoint: string }): VolumeBody {
  const createdAtNs = BigInt(volume.createdAtNs);
  return {
    CreatedAt: formatTimestamp(createdAtNs - (createdAtNs % NS_PER_S)),
    Driver: volume.driver,
    Labels: orNull(labelsOf(volume)),
    Mountpoint: place.mountpoint,
    Name: volume.name,
    Options: orNull(volume.options ?? {}),
    Scope: "local",
  };
}

/** What the plugin of a volume knows better than its row. */
export function pluginBody(
  seen: PluginVolume,
  driver: PluginVolumeDriver,
): Pick<VolumeBody, "Mountpoint" | "Scope" | "Status" | "CreatedAt"> {
  return {
    Mountpoint: seen.mountpoint,
    Scope: driver.scope,
    ...(seen.createdAt === "" ? {} : { CreatedAt: seen.createdAt }),
    ...(seen.status === undefined ? {} : { Status: { ...seen.status } }),
  };
}

function orNull(map: Readonly<Record<string, string>>): Record<string, string> | null {
  return Object.keys(map).length === 0 ? null : { ...map };
}
