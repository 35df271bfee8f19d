import { posix } from "node:path";
import { ExitError } from "../exit-error.ts";

/** One side of a copy; `container` undefined: a path of this machine. */
export interface CopySide {
  readonly container: string | undefined;
  readonly path: string;
}

/** `CONTAINER:PATH` or a local path: absolute ones and those that begin with a dot are local. */
export function parseCopySide(text: string): CopySide {
  const colon = text.indexOf(":");
  if (text.startsWith("/") || text.startsWith(".") || colon === -1) {
    return { container: undefined, path: text };
  }
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

export function hasTrailingSlash(path: string): boolean {
  return path.endsWith("/");
}

/** `.`, `dir/.`: what is in the directory and not itself. */
export function meansContent(path: string): boolean {
  return path === "." || path.endsWith("/.");
}

/** A path that can only be a directory. */
export function assertsDirectory(path: string): boolean {
  return hasTrailingSlash(path) || meansContent(path);
}

/** `path` made absolute, with a trailing slash or `/.` kept. */
export function absoluteKept(path: string, folder: string = "/"): string {
  const clean = posix.resolve(folder, path);
  if (meansContent(path)) return clean === "/" ? "/." : `${clean}/.`;
  return hasTrailingSlash(path) && clean !== "/" ? `${clean}/` : clean;
}

/** Folder and last name; the last name of `dir/.` is `.`. */
export function splitEntry(path: string): { folder: string; base: string } {
  const clean = posix.resolve("/", path);
  if (meansContent(path)) return { folder: clean, base: "." };
  return { folder: posix.dirname(clean), base: clean === "/" ? "/" : posix.basename(clean) };
}

/** One end of a copy, as it was found. */
export interface CopyInfo {
  /** Absolute, trailing slash and `/.` kept. */
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
  /** What entries are named after where links were followed, "" where they were not. */
  readonly rebaseName: string;
}

/** Where to unpack, and how the first part of every name changes. */
export interface CopyPlan {
  readonly folder: string;
  readonly rename: { readonly from: string; readonly to: string } | undefined;
}

/**
 * Docker's rules (those of `cp -a`): into a directory that exists, under another name otherwise.
 * Throws in Docker's words. @see docker container cp, "Extended description"
 */
export function planCopy(source: CopyInfo, target: CopyInfo): CopyPlan {
  const { folder, base } = splitEntry(target.path);
  const from = source.rebaseName === "" ? splitEntry(source.path).base : source.rebaseName;
  if (target.exists && target.isDirectory) return { folder: target.path, rename: undefined };
  if (target.exists && source.isDirectory) throw new ExitError(1, "cannot copy directory");
  if (target.exists || source.isDirectory) return { folder, rename: { from, to: base } };
  if (assertsDirectory(target.path)) throw new ExitError(1, "no such directory");
  return { folder, rename: { from, to: base } };
}

/** The name of an entry under another first part. */
export function renameEntry(name: string, rename: CopyPlan["rename"]): string {
  if (rename === undefined) return name;
  const from = rename.from === "/" ? "" : rename.from;
  if (from === "") return `${rename.to}/${name.replace(/^\/+/, "")}`;
  if (name !== from && !name.startsWith(`${from}/`)) return name;
  return rename.to + name.slice(from.length);
}

/** The name that entries keep when `path` turned out to be a link to `resolved`. */
export function followedPath(path: string, resolved: string): { path: string; rebaseName: string } {
  let target = resolved;
  if (meansContent(path) && !meansContent(target)) target = `${target}/.`;
  else if (hasTrailingSlash(path) && !hasTrailingSlash(target)) target = `${target}/`;
  const asked = splitEntry(path).base;
  return { path: target, rebaseName: asked === splitEntry(target).base ? "" : asked };
}
