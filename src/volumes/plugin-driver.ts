import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { errorMessage, isNaruError, NaruError } from "../base/mod.ts";
import type { Plugin, PluginAnswer, PluginHost } from "../plugins/mod.ts";
import type { PluginVolume, PluginVolumeDriver, PluginVolumeDrivers } from "./contract.ts";
import { checkPluginName } from "./name.ts";

const SUBSYSTEM = "VolumeDriver";
const LIST_MAX = 10_000; // volumes of one plugin that a list shows
const PATH_BYTES_MAX = 4095; // PATH_MAX

/** Volume drivers over Docker's plugin protocol. @see docs.docker.com extend/plugins_volume */
export function createPluginDrivers(host: PluginHost): PluginVolumeDrivers {
  return {
    async names() {
      return host.names();
    },
    async driver(name) {
      let plugin: Plugin;
      try {
        plugin = await host.plugin(name, SUBSYSTEM);
      } catch (error) {
        if (!isNaruError(error)) throw error;
        const message = `error looking up volume plugin ${name.slice(0, 100)}: ${error.message}`;
        throw new NaruError(error.kind, message, error.details, { cause: error });
      }
      return pluginDriver(plugin, await scopeOf(plugin));
    },
  };
}

const PATIENCE_MS = 3_000; // a person waits for the list; a plugin that hangs is left out

/** Asks all volume plugins at once; those that do not answer give a problem to tell. */
export async function askPlugins<T>(
  plugins: PluginVolumeDrivers,
  ask: (driver: PluginVolumeDriver) => Promise<T>,
): Promise<{ value: T | undefined; problem: string }[]> {
  const names = await plugins.names();
  return Promise.all(
    names.map(async (name) => {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(
        () => late.reject(new Error(`volume plugin "${name}" does not answer`)),
        PATIENCE_MS,
      );
      const answer = plugins.driver(name).then(ask);
      try {
        return { value: await Promise.race([answer, late.promise]), problem: "" };
      } catch (error) {
        // One of another kind, for networks say, is none of our business.
        const foreign = isNaruError(error, "unsupported");
        return { value: undefined, problem: foreign ? "" : errorMessage(error) };
      } finally {
        clearTimeout(timer);
        answer.catch(() => undefined);
        late.promise.catch(() => undefined);
      }
    }),
  );
}

/** Plugins that are older than scopes do not have the call. */
async function scopeOf(plugin: Plugin): Promise<string> {
  const answer = await plugin.call("VolumeDriver.Capabilities", {}).catch(() => ({}));
  const { Capabilities: capabilities } = answer as PluginAnswer;
  const scope = isObject(capabilities) ? capabilities["Scope"] : "";
  return typeof scope === "string" && scope.toLowerCase() === "global" ? "global" : "local";
}

function pluginDriver(plugin: Plugin, scope: string): PluginVolumeDriver {
  const call = (method: string, body: object): Promise<PluginAnswer> =>
    plugin.call(`VolumeDriver.${method}`, body);
  return {
    name: plugin.name,
    scope,
    pathOf: () => "",
    async create(name, options) {
      checkPluginName(name);
      await call("Create", { Name: name, Opts: options });
    },
    async remove(name) {
      await call("Remove", { Name: name });
    },
    async mount({ name }, { user }) {
      const { Mountpoint: told } = await call("Mount", { Name: name, ID: user });
      // Some tell the path only when they are asked for it.
      const path =
        told === "" || told === undefined
          ? (await call("Path", { Name: name }))["Mountpoint"]
          : told;
      try {
        return checkMountpoint(plugin, path);
      } catch (error) {
        await call("Unmount", { Name: name, ID: user }).catch(() => undefined);
        throw error;
      }
    },
    async unmount({ name }, { user }) {
      await call("Unmount", { Name: name, ID: user });
    },
    async look(name) {
      try {
        return volumeOf((await call("Get", { Name: name }))["Volume"]);
      } catch (error) {
        if (isNaruError(error, "invalid_argument")) return undefined; // its words for "no such volume"
        throw error;
      }
    },
    async list() {
      const { Volumes: volumes } = await call("List", {});
      if (!Array.isArray(volumes)) return [];
      return volumes.slice(0, LIST_MAX).flatMap((one) => volumeOf(one) ?? []);
    },
  };
}

/** The path is bound into a container: an absolute one of a directory, and nothing else. */
function checkMountpoint(plugin: Plugin, path: unknown): string {
  const bad = (why: string): NaruError =>
    new NaruError("unavailable", `plugin "${plugin.name}": VolumeDriver.Mount: ${why}`, {
      plugin: plugin.name,
    });
  if (typeof path !== "string" || !isAbsolute(path)) throw bad("no absolute mountpoint was told");
  if (path.includes("\0") || Buffer.byteLength(path) > PATH_BYTES_MAX) throw bad("bad mountpoint");
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) throw bad("the mountpoint is no directory");
  return path;
}

/** What a plugin says of a volume, as far as it makes sense. */
function volumeOf(value: unknown): PluginVolume | undefined {
  if (!isObject(value)) return undefined;
  const { Name: name, Mountpoint: mountpoint, CreatedAt: createdAt, Status: status } = value;
  if (typeof name !== "string") return undefined;
  try {
    checkPluginName(name);
  } catch {
    return undefined;
  }
  return {
    name,
    mountpoint: typeof mountpoint === "string" ? mountpoint.slice(0, PATH_BYTES_MAX) : "",
    createdAt: typeof createdAt === "string" ? createdAt.slice(0, 64) : "",
    status: isObject(status) ? status : undefined,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
