export type * from "./contract.ts";
export { createVolumeStore } from "./volume-store.ts";
