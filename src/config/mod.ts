export * from "./daemon-config.ts";
export { daemonHelp } from "./daemon-help.ts";
export { loadDaemonConfig, parseDaemonCommand } from "./daemon-load.ts";
