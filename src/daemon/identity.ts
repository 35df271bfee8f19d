import { newId } from "../base/mod.ts";
import type { Metadata } from "../storage/mod.ts";

/** Who this engine is, for as long as its data root lives. */
export interface EngineIdentity {
  readonly id: string;
  /** In the names of links, tables and cgroups, so that engines side by side never meet. */
  readonly shortName: string;
}

const SHORT_NAME_LENGTH = 6; // link names have 15 bytes, and hold a container's part as well

/** The identity in the database; made and committed at the first start. */
export async function engineIdentity(metadata: Metadata): Promise<EngineIdentity> {
  const row = metadata.rows("settings").find(([key]) => key === "engine");
  const known = row?.[1] as EngineIdentity | undefined;
  if (known !== undefined) return known;
  const id = newId();
  const identity: EngineIdentity = { id, shortName: id.slice(0, SHORT_NAME_LENGTH) };
  await metadata.commit([{ table: "settings", key: "engine", value: identity }]);
  return identity;
}
