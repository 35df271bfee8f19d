export * from "./daemon-config.ts";
export type { FlagValues } from "./daemon-flags.ts";
export { daemonHelp } from "./daemon-help.ts";
export { type DaemonCommand, loadDaemonConfig, parseDaemonCommand } from "./daemon-load.ts";
export { parseSizeBytes } from "./size.ts";
