import { existsSync } from "node:fs";
import { join } from "node:path";
import { NaruError } from "../base/mod.ts";
import { type MetadataReader, openMetadataReadOnly } from "../storage/mod.ts";

/** What the database says there should be. The newest word: read again for each look. */
export interface Records {
  /** In the names of links, tables and cgroups. */
  readonly engineShortName: string;
  /** Containers by id; `active` ones may have mounts, processes and links. */
  readonly containers: ReadonlyMap<string, { readonly active: boolean }>;
  readonly volumes: ReadonlySet<string>;
  readonly layerDirs: ReadonlySet<string>;
  readonly endpoints: readonly RecordedEndpoint[];
  /** Kinds of work that is queued. */
  /** Names of bridges. */
  readonly networkLinks: ReadonlySet<string>;
  readonly pendingWork: readonly string[];
}

/** An address in use, or waiting until the kernel has let go of its link. */
export interface RecordedEndpoint {
  readonly key: string;
  readonly containerId: string;
  readonly quarantined: boolean;
  readonly netnsPath: string;
  readonly hostLink: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Throws not_found when no engine has ever used the data root. */
export function openRecords(dataRoot: string): MetadataReader {
  const path = join(dataRoot, "naru.db");
  if (!existsSync(path)) {
    throw new NaruError(
      "not_found",
      `no engine has used ${dataRoot}: there is no naru.db; name the right --data-root`,
    );
  }
  return openMetadataReadOnly(path);
}

const ACTIVE_STATES: ReadonlySet<string> = new Set(["starting", "running"]);

export function readRecords(reader: MetadataReader): Records {
  const engine = reader.rows("settings").find(([key]) => key === "engine")?.[1];
  return {
    engineShortName: textAt(engine, "shortName"),
    containers: new Map(
      reader
        .rows("containers")
        .map(([id, row]) => [id, { active: ACTIVE_STATES.has(textAt(at(row, "state"), "kind")) }]),
    ),
    volumes: new Set(reader.rows("volumes").map(([name]) => name)),
    layerDirs: new Set(reader.rows("layers").map(([, row]) => textAt(row, "dir"))),
    endpoints: reader.rows("addresses").map(([key, row]) => ({
      key,
      containerId: textAt(row, "containerId"),
      quarantined: textAt(row, "state") === "quarantine",
      netnsPath: textAt(at(row, "endpoint"), "netnsPath"),
      hostLink: textAt(at(row, "endpoint"), "hostLink"),
      ipv4: textAt(at(row, "endpoint"), "ipv4Address"),
      ipv6: textAt(at(row, "endpoint"), "ipv6Address"),
    })),
    networkLinks: new Set(reader.rows("networks").map(([, row]) => textAt(row, "link"))),
    pendingWork: reader.rows("work").map(([, row]) => textAt(row, "kind")),
  };
}

function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && key in value
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function textAt(value: unknown, key: string): string {
  const text = at(value, key);
  return typeof text === "string" ? text : "";
}
