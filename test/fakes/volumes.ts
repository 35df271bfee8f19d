import { NaruError, systemClock } from "../../src/base/mod.ts";
import { packTree, unpackTree } from "../../src/containers/mod.ts";
import type { EventBus } from "../../src/events/mod.ts";
import { type Logger, silentLogger } from "../../src/observe/mod.ts";
import type { Metadata, WorkQueue } from "../../src/storage/mod.ts";
import {
  createVolumeService,
  type PluginVolumeDrivers,
  type VolumeService,
  type VolumeUsers,
} from "../../src/volumes/mod.ts";

/** A host without plugins. */
export const NO_PLUGINS: PluginVolumeDrivers = {
  names: () => Promise.resolve([]),
  driver: (name) =>
    Promise.reject(
      new NaruError(
        "not_found",
        `error looking up volume plugin ${name}: plugin "${name}" not found`,
      ),
    ),
};

/** The real volumes in a directory of the test's. */
export function testVolumes(
  options: {
    readonly metadata: Metadata;
    readonly work: WorkQueue;
    readonly events: EventBus;
    readonly dir: string;
    readonly logger?: Logger;
    readonly plugins?: PluginVolumeDrivers;
  },
  usersOf: VolumeUsers["usersOf"] = () => [],
): VolumeService {
  return createVolumeService({
    clock: systemClock,
    snapshotsDir: `${options.dir}-snapshots`,
    archives: { pack: packTree, unpack: unpackTree },
    logger: silentLogger,
    plugins: NO_PLUGINS,
    users: { usersOf, whilePaused: (_, task) => task() },
    ...options,
  });
}
