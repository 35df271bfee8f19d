import { mkdir, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NaruError } from "../base/mod.ts";
import { hasProjectQuota, limitDirectory, umountDetached } from "../linux/mod.ts";
import type { Volume, VolumeDriver } from "./contract.ts";
import { imageUsageBytes, makeImage, mountImage } from "./image-file.ts";
import { mountPlan } from "./local-mount.ts";
import { type LocalPlan, planLocal } from "./local-options.ts";
import { checkLocalName } from "./name.ts";
import { treeSizeBytes } from "./tree-size.ts";

export const LOCAL_DRIVER = "local";

/** In the directory of a volume that is no row yet: what is there goes with it after a crash. */
export const UNRECORDED = "unrecorded";
const IMAGE = "image.raw";

export interface LocalDriver extends VolumeDriver {
  /** Makes the directory. Idempotent. */
  materialise(name: string): Promise<string>;
  /** Is it a directory of the data root, and not something mounted? */
  isDirectory(volume: Volume): boolean;
  /** Makes another directory with the limits of the volume. */
  makeBeside(volume: Volume, path: string): Promise<void>;
  /** Undoes a `create` whose row was not committed. */
  undoCreate(volume: Volume): Promise<void>;
  /** The row is committed. */
  recorded(volume: Volume): Promise<void>;
  /** Bytes on the data root; -1 for what is elsewhere. */
  sizeBytes(volume: Volume): Promise<number>;
}

/** Volumes below `dir`: `NAME/_data` is what containers see. */
export function createLocalDriver(dir: string): LocalDriver {
  const pathOf = (name: string): string => join(dir, name, "_data");
  const imageOf = (name: string): string => join(dir, name, IMAGE);
  const materialise = async (name: string): Promise<string> => {
    const path = pathOf(name);
    await mkdir(path, { recursive: true, mode: 0o755 });
    return path;
  };
  return {
    name: LOCAL_DRIVER,
    scope: "local",
    pathOf,
    materialise,
    async create(name, options) {
      checkLocalName(name);
      const plan = planLocal(options);
      if (!isMade(plan)) return;
      await mkdir(dir, { recursive: true, mode: 0o701 });
      if (plan.kind === "directory" && !hasProjectQuota(dir)) throw noQuota();
      await materialise(name);
      await writeFile(join(dir, name, UNRECORDED), "");
      if (plan.kind === "image") await makeImage(imageOf(name), plan);
      else limitDirectory(pathOf(name), plan.sizeBytes);
    },
    remove: () => Promise.resolve(),
    isDirectory: ({ options = {} }) => planLocal(options).kind === "directory",
    async makeBeside({ options = {} }, path) {
      await mkdir(path, { mode: 0o755 });
      const plan = planLocal(options);
      // A project of its own: in one with the old content both together would be over the limit.
      if (plan.kind === "directory" && plan.sizeBytes > 0) limitDirectory(path, plan.sizeBytes);
    },
    async undoCreate({ name, options = {} }) {
      if (isMade(planLocal(options))) {
        await rm(join(dir, name), { recursive: true, force: true });
        return;
      }
      // Never with anything in it.
      for (const path of [pathOf(name), join(dir, name)]) await rmdir(path).catch(() => undefined);
    },
    async recorded({ name, options = {} }) {
      if (isMade(planLocal(options))) await rm(join(dir, name, UNRECORDED), { force: true });
    },
    async mount({ name, options = {} }, { first }) {
      const target = await materialise(name);
      const plan = planLocal(options);
      if (!first || plan.kind === "directory") return target;
      if (plan.kind === "mount") await mountPlan(plan, target);
      else await mountImage(imageOf(name), { ...plan, ...plan.flags, target });
      return target;
    },
    unmount({ name, options = {} }, { last }) {
      if (last && planLocal(options).kind !== "directory") umountDetached(pathOf(name));
      return Promise.resolve();
    },
    async sizeBytes({ name, options = {} }) {
      const plan = planLocal(options);
      if (plan.kind === "mount") return -1;
      return plan.kind === "image" ? imageUsageBytes(imageOf(name)) : treeSizeBytes(pathOf(name));
    },
  };
}

/** Has it more than a directory that is made at its first use? */
function isMade(plan: LocalPlan): plan is LocalPlan & { readonly kind: "directory" | "image" } {
  return plan.kind === "image" || (plan.kind === "directory" && plan.sizeBytes > 0);
}

function noQuota(): NaruError {
  return new NaruError(
    "invalid_argument",
    "quota size requested but no quota support: the data root's file system has no project quotas; --opt backing=image makes a file of that size on any file system",
    { field: "DriverOpts" },
  );
}
