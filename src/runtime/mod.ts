export { createContainerMonitor, monitorCgroups } from "./conmon.ts";
export type * from "./contract.ts";
export { resizeTerminal } from "./control.ts";
export {
  DEFAULT_LOG_LIMITS,
  openContainerLog,
  type SpooledLog,
} from "./log/container-log.ts";
export type * from "./log/shipping/plan.ts";
export { DEFAULT_SECCOMP_PROFILE } from "./seccomp/default-profile.ts";
export { parseSeccompProfile, type SeccompProfile } from "./seccomp/profile.ts";
export { parseSignal } from "./signals.ts";
export * from "./spec-builder/build.ts";
export { allHostDevices, blockDeviceNumber, hostDevices } from "./spec-builder/host-devices.ts";
export { readHostFacts } from "./spec-builder/host-facts.ts";
export type * from "./spec-builder/input.ts";
export { buildResources } from "./spec-builder/resources.ts";
export { connectStdio } from "./stdio-hub.ts";
