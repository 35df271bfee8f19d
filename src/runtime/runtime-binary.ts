import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { MS_BIND, MS_RDONLY, MS_REMOUNT, mount, umountDetached } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";

/**
 * A read-only bind mount of the runtime's program in the run root. crun and runc guard their own
 * program against containers (CVE-2019-5736) by running from a copy that cannot be written, which
 * they make at every start; on a read-only mount they see that none is needed. Saves 1.2 ms of each
 * command. Gives `source` itself where the mount cannot be made.
 */
export function readonlyProgram(source: string, target: string, logger: Logger): string {
  try {
    const wanted = statSync(source, { bigint: true });
    const there = statSync(target, { bigint: true, throwIfNoEntry: false });
    if (there?.ino === wanted.ino && there.dev === wanted.dev) return target; // of an engine before
    if (there === undefined) {
      mkdirSync(target.slice(0, target.lastIndexOf("/")), { recursive: true, mode: 0o700 });
      closeSync(openSync(target, "a"));
    } else removeReadonlyProgram(target);
    mount({ source, target, type: "", flags: MS_BIND });
    try {
      mount({ source: "", target, type: "", flags: MS_BIND | MS_REMOUNT | MS_RDONLY });
    } catch (error) {
      umountDetached(target);
      throw error;
    }
    return target;
  } catch (error) {
    logger.debug("no read-only mount of a runtime, using it as it is", { source, error });
    return source;
  }
}

/** Idempotent. Running programs go on. */
export function removeReadonlyProgram(target: string): void {
  umountDetached(target);
}
