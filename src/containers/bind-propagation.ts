import { realpathSync } from "node:fs";
import { NaruError } from "../base/mod.ts";
import { listMounts, type MountEntry } from "../linux/mod.ts";

/*
 * What a bind asks of the mount that it comes from. Docker's rules: who asks for propagation gets it
 * or an error, never a bind that stays silent.
 */

/** One holds the other: a private copy would keep the engine's own mounts alive. */
function meets(source: string, dataRoot: string): boolean {
  const within = (path: string, folder: string): boolean =>
    path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
  return within(source, dataRoot) || within(dataRoot, source);
}

/**
 * The propagation of a bind that asked for `asked` ("" is nothing). Throws invalid_argument when
 * the source holds the engine's data, or lies in it, and it asked for a private copy of that.
 */
export function plannedPropagation(asked: string, source: string, dataRoot: string): string {
  if (!meets(source, dataRoot)) return asked === "" ? "rprivate" : asked;
  if (asked === "") return "rslave";
  if (asked === "rslave" || asked === "rshared") return asked;
  const roots = `daemon root: "${dataRoot}", bind mount source: "${source}", propagation: "${asked}"`;
  const message = `invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, ${roots}`;
  throw new NaruError("invalid_argument", message);
}

/** What the runtime is told. Throws invalid_argument when the source's mount gives no propagation. */
export function usablePropagation(
  propagation: string,
  source: string,
  dataRoot: string,
  mounts: () => readonly MountEntry[] = listMounts,
): string {
  if (!propagation.endsWith("shared") && !propagation.endsWith("slave")) return propagation;
  const above = mountAbove(realpathSync(source), mounts());
  const has = (tag: string): boolean =>
    above?.propagation.some((one) => one.startsWith(tag)) === true;
  if (has("shared:")) return propagation;
  const isSlave = propagation.endsWith("slave");
  if (isSlave && has("master:")) return propagation;
  if (isSlave && meets(source, dataRoot)) return "rprivate"; // nobody asked for it: see above
  const wanted = isSlave ? "a shared or slave mount" : "a shared mount";
  const message = `path ${source} is mounted on ${above?.target ?? "nothing"} but it is not ${wanted}`;
  throw new NaruError("invalid_argument", message, { source });
}

/** The mount that holds `path`: the last one made at its deepest parent that is one. */
function mountAbove(path: string, mounts: readonly MountEntry[]): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const mount of mounts) {
    const holds =
      mount.target === "/" || path === mount.target || path.startsWith(`${mount.target}/`);
    if (holds && mount.target.length >= (best?.target.length ?? 0)) best = mount;
  }
  return best;
}
