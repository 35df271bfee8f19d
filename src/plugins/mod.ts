export type { Plugin, PluginAnswer } from "./plugin-client.ts";
export { createPluginHost, type PluginHost } from "./plugin-host.ts";
