export type * from "./contract.ts";
export { VOLUME_CRASH_POINTS } from "./crash-point.ts";
export { createPluginDrivers } from "./plugin-driver.ts";
export { createVolumeService } from "./volume-service.ts";
