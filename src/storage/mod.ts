export { openBlobStore } from "./blobs/blob-store.ts";
export type * from "./contract.ts";
export { diskError } from "./disk-error.ts";
export { FileStream } from "./file-stream.ts";
export { compressionOf, decompress } from "./layers/decompress.ts";
export {
  type LayerStoreControl,
  openLayerStore,
} from "./layers/layer-store.ts";
export { type MetadataReader, openMetadata, openMetadataReadOnly } from "./metadata/metadata.ts";
export { createWorkQueue } from "./metadata/work-queue.ts";
