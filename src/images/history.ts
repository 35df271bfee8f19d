import type { Digest } from "../base/mod.ts";
import { chainIdsOf } from "../oci/mod.ts";
import type { HistoryItem, ImageConfig, ImageHistory } from "../spec/mod.ts";
import type { LayerStore } from "../storage/mod.ts";
import type { FoundImage, ImageTable } from "./image-table.ts";
import { createdNsOf, createdSeconds, splitReferences } from "./view.ts";

export interface HistoryInput {
  readonly found: FoundImage;
  readonly table: Pick<ImageTable, "visible" | "referencesOf">;
  readonly layers: Pick<LayerStore, "get">;
}

/** Newest first. An entry that is the top one of an image here carries that image's id and tags. */
export function historyOf({ found, table, layers }: HistoryInput): HistoryItem[] {
  const { config } = found.row;
  const chainIds = chainIdsOf(config.rootfs.diff_ids);
  const written = config.history ?? [];
  // Images without a history still have layers to show.
  const entries: readonly ImageHistory[] = written.length > 0 ? written : chainIds.map(() => ({}));
  const images = new Map(table.visible().map(([id, row]) => [lengthsOf(row.config), id]));
  images.set(lengthsOf(config), found.id); // of two that look alike, the one that was asked for
  let layer = 0;
  const items = entries.map((entry, index): HistoryItem => {
    const chainId = entry.empty_layer === true ? undefined : chainIds[layer];
    if (entry.empty_layer !== true) layer += 1;
    const id = images.get(lengthKey(index + 1, chainIds.slice(0, layer)));
    const tags = id === undefined ? [] : splitReferences(table.referencesOf(id)).tags;
    return {
      Id: id ?? "<missing>",
      Created: createdSeconds(createdNsOf({ ...config, created: entry.created ?? "" })),
      CreatedBy: entry.created_by ?? "",
      Tags: tags.length === 0 ? null : tags,
      Size: chainId === undefined ? 0 : (layers.get(chainId)?.sizeBytes ?? 0),
      Comment: entry.comment ?? "",
    };
  });
  return items.reverse();
}

/** How much of a history an image is: so many entries, and these layers. */
function lengthsOf(config: ImageConfig): string {
  const chainIds = chainIdsOf(config.rootfs.diff_ids);
  return lengthKey(config.history?.length || chainIds.length, chainIds);
}

function lengthKey(entries: number, chainIds: readonly Digest[]): string {
  return `${entries} ${chainIds.at(-1) ?? ""}`;
}
