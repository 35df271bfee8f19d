export { openBlobStore } from "./blobs/blob-store.ts";
export type * from "./contract.ts";
export { type MetadataReader, openMetadata, openMetadataReadOnly } from "./metadata/metadata.ts";
export { createWorkQueue, type WorkQueueOptions } from "./metadata/work-queue.ts";
