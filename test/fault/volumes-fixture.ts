import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import { createWorkQueue, openMetadata } from "../../src/storage/mod.ts";
import type { VolumeService } from "../../src/volumes/mod.ts";
import { recordingBus } from "../fakes/rooms.ts";
import { testVolumes } from "../fakes/volumes.ts";

export interface OpenVolumes {
  readonly root: string;
  readonly volumes: VolumeService;
  /** Ends what is queued, then closes the database. */
  settle(): Promise<void>;
}

/** Volumes on a real database, with what a former process left repaired. */
export async function openVolumes(root: string): Promise<OpenVolumes> {
  mkdirSync(root, { recursive: true });
  const metadata = await openMetadata(join(root, "naru.db"));
  const work = createWorkQueue(metadata, { clock: systemClock, logger: silentLogger });
  const events = recordingBus([]);
  const volumes = testVolumes({ metadata, work, events, dir: join(root, "volumes") });
  await volumes.recover();
  work.start();
  return {
    root,
    volumes,
    async settle() {
      await work.idle();
      await work.stop();
      await metadata.close();
    },
  };
}
