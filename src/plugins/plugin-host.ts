import { NaruError } from "../base/mod.ts";
import { findPlugin, listPlugins, PLUGIN_DIRS, type PluginDirs } from "./discovery.ts";
import { createPlugin, PLUGIN_LIMITS, type Plugin, type PluginLimits } from "./plugin-client.ts";

/** The plugins of this host, found again at each question: they come and go. */
export interface PluginHost {
  /** Those that are there, whether they answer or not. */
  names(): Promise<readonly string[]>;
  /** Throws not_found (`plugin "x" not found`), unavailable, or unsupported when it lacks `subsystem`. */
  plugin(name: string, subsystem: string): Promise<Plugin>;
}

export function createPluginHost(
  dirs: PluginDirs = PLUGIN_DIRS,
  limits: PluginLimits = PLUGIN_LIMITS,
): PluginHost {
  /** By name, as long as it is found at the same place. */
  const known = new Map<string, { readonly url: string; readonly plugin: Plugin }>();
  return {
    names: () => listPlugins(dirs),
    async plugin(name, subsystem) {
      const address = await findPlugin(dirs, name);
      if (address === undefined) {
        known.delete(name);
        throw new NaruError("not_found", `plugin "${name.slice(0, 100)}" not found`, {});
      }
      let found = known.get(name);
      if (found?.url !== address.url) {
        found = { url: address.url, plugin: createPlugin(address, limits) };
        known.set(name, found);
      }
      const { plugin } = found;
      if (!(await plugin.implements()).includes(subsystem)) {
        throw new NaruError("unsupported", `plugin "${name}" is no ${subsystem}`, { plugin: name });
      }
      return plugin;
    },
  };
}
