export type * from "./contract.ts";
export { createPluginDrivers } from "./plugin-driver.ts";
export { createVolumeService } from "./volume-service.ts";
