export type * from "./contract.ts";
export { CRASH_POINTS, type CrashPoint } from "./crash-point.ts";
export { CONFIG_FIELDS, type FieldTreatment, HOST_CONFIG_FIELDS } from "./fields.ts";
export type { ContainerServiceOptions } from "./room.ts";
export { type ContainerServiceSetup, createContainerService } from "./service.ts";
export type { StdioRequest, TerminalDriver } from "./terminals.ts";
