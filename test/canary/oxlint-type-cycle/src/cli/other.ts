import type { Mine } from "./mod.ts";

export interface Other {
  readonly mine: Mine;
}
