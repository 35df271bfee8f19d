import { readFileSync } from "node:fs";

/** One line of /proc/PID/mountinfo. @see proc_pid_mountinfo(5) */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** The part of the file system that is mounted here. */
  readonly root: string;
  readonly target: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The mounts of this process, in the order in which they were made. */
export function listMounts(): MountEntry[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Mounts at `path` and below it, the last made first: the order to undo them in. */
export function mountsBelow(path: string, mounts: readonly MountEntry[]): MountEntry[] {
  const folder = path === "/" ? "/" : `${path}/`;
  return mounts.filter(({ target }) => target === path || target.startsWith(folder)).reverse();
}

/** The mount seen at exactly `path`: the last one made there. */
export function mountAt(path: string, mounts: readonly MountEntry[]): MountEntry | undefined {
  return mounts.findLast(({ target }) => target === path);
}

/** Lines that do not have the kernel's form are left out: newer kernels may add what we know not. */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split("\n")) {
    const entry = parseLine(line);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function parseLine(line: string): MountEntry | undefined {
  const fields = line.split(" ");
  const dash = fields.indexOf("-", 6); // between the optional fields and the last three
  if (dash === -1) return undefined;
  const [id, parentId, device, root, target, options] = fields;
  const [type, source, superOptions] = fields.slice(dash + 1);
  if (target === undefined || device === undefined || type === undefined) return undefined;
  const [major, minor] = device.split(":");
  return {
    id: Number(id),
    parentId: Number(parentId),
    deviceMajor: Number(major),
    deviceMinor: Number(minor),
    root: unescapeOctal(root ?? ""),
    target: unescapeOctal(target),
    options: (options ?? "").split(","),
    propagation: fields.slice(6, dash),
    type: unescapeOctal(type),
    source: unescapeOctal(source ?? ""),
    superOptions: (superOptions ?? "").split(",").map(unescapeOctal),
  };
}

/** The kernel writes blank, tab, newline, backslash and `#` as `\` and three octal digits. */
function unescapeOctal(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
