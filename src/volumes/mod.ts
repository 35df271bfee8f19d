export type * from "./contract.ts";
export { checkVolumeName, createVolumeStore, type VolumeStoreOptions } from "./volume-store.ts";
