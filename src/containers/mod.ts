export type * from "./contract.ts";
export { COMMIT_CRASH_POINTS, CRASH_POINTS, type CrashPoint } from "./crash-point.ts";
export type * from "./files-contract.ts";
export { LOG_DRIVERS } from "./log-config.ts";
export type { ContainerRecord } from "./record.ts";
export { createContainerService } from "./service.ts";
export type { TerminalDriver } from "./terminals.ts";
export { packTree, unpackTree } from "./tree-archive.ts";
