import { existsSync } from "node:fs";
import type { DaemonConfig } from "../config/mod.ts";
import type { ContainerDefaults } from "../containers/mod.ts";

/** Where Debian puts static init programs: tini-static of the package tini, catatonit. */
const INIT_PATHS: readonly string[] = ["/usr/bin/tini-static", "/usr/bin/catatonit"];

/** The init for `--init` when the configuration names none; the first is also what errors name. */
export function initPathOf(config: DaemonConfig): string {
  if (config.initPath !== "") return config.initPath;
  return INIT_PATHS.find((path) => existsSync(path)) ?? (INIT_PATHS[0] as string);
}

/**
 * The daemon's configuration as containers see it, read at each use so that a reload counts.
 * `cgroupParent` is the engine's own, for configurations that name none.
 */
export function containerDefaults(
  current: () => DaemonConfig,
  host: { readonly cgroupVersion: "1" | "2"; readonly cgroupParent: string },
): ContainerDefaults {
  return {
    get defaultRuntime() {
      return current().defaultRuntime;
    },
    get runtimes() {
      return current().runtimes;
    },
    get cgroupParent() {
      return current().cgroupParent || host.cgroupParent;
    },
    get cgroupDriver() {
      return current().cgroupDriver;
    },
    get ulimits() {
      return current().ulimits;
    },
    get init() {
      return current().init;
    },
    get initPath() {
      return initPathOf(current());
    },
    get shmSizeBytes() {
      return current().shmSizeBytes;
    },
    get noNewPrivileges() {
      return current().noNewPrivileges;
    },
    get stopTimeoutSeconds() {
      return current().stopTimeoutSeconds;
    },
    get seccompProfile() {
      return current().seccompProfile;
    },
    get cgroupnsMode() {
      return current().cgroupnsMode || (host.cgroupVersion === "2" ? "private" : "host");
    },
    get ipcMode() {
      return current().ipcMode;
    },
    get logDriver() {
      return current().logDriver;
    },
    get logOptions() {
      return current().logOptions;
    },
    get dns() {
      return current().dns;
    },
    get cdiSpecDirs() {
      return current().cdiSpecDirs;
    },
    get dnsSearch() {
      return current().dnsSearch;
    },
    get dnsOptions() {
      return current().dnsOptions;
    },
  };
}
