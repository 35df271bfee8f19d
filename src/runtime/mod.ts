export { containerCapabilities, DEFAULT_CAPABILITIES } from "./capabilities.ts";
export { type ContainerMonitorOptions, createContainerMonitor, monitorCgroups } from "./conmon.ts";
export type * from "./contract.ts";
export { resizeTerminal } from "./control.ts";
export { execMonitorPid } from "./exec.ts";
export {
  type ContainerLogOptions,
  DEFAULT_LOG_LIMITS,
  openContainerLog,
  type SpooledLog,
} from "./log/container-log.ts";
export { exitCodeOf } from "./runtime-error.ts";
export { DEFAULT_SECCOMP_PROFILE } from "./seccomp/default-profile.ts";
export { parseSeccompProfile, type SeccompProfile } from "./seccomp/profile.ts";
export { parseSignal, signalName } from "./signals.ts";
export * from "./spec-builder/build.ts";
export { allHostDevices, blockDeviceNumber, hostDevices } from "./spec-builder/host-devices.ts";
export { readHostFacts } from "./spec-builder/host-facts.ts";
export type * from "./spec-builder/input.ts";
export { type ConnectStdioOptions, connectStdio } from "./stdio-hub.ts";
