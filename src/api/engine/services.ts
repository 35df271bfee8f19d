import type { ContainerService } from "../../containers/mod.ts";
import type { EventBus } from "../../events/mod.ts";
import type { ImageService } from "../../images/mod.ts";
import type { NetworkService } from "../../network/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import type { VolumeService } from "../../volumes/mod.ts";
import type { SystemFacts } from "./system-facts.ts";

/** What the Engine API stands on. */
export interface EngineServices {
  readonly containers: ContainerService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly events: EventBus;
  /** Asked at each `info` and `version`: some facts change. */
  readonly facts: () => SystemFacts | Promise<SystemFacts>;
  readonly logger: Logger;
}

export interface EngineApiOptions {
  /** naru's own version, shown as the engine's. */
  readonly engineVersion: string;
  /** An upload (load, import) may pause so long; a slower sender is dropped. */
  readonly uploadIdleMs?: number;
}
