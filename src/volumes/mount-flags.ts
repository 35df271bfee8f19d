import { NaruError } from "../base/mod.ts";
import {
  MS_BIND,
  MS_DIRSYNC,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from "../linux/mod.ts";

/** Options of a mount as mount(2) wants them. */
export interface MountFlags {
  readonly flags: number;
  /** Of propagation, which takes a call of its own; 0 for none. */
  readonly propagation: number;
  /** What the file system itself is told. */
  readonly data: string;
}

/** Words that are flags to the kernel: what they set, or take back. @see mount(8) */
const SET: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  dirsync: MS_DIRSYNC,
  mand: MS_MANDLOCK,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
};
const CLEAR: Readonly<Record<string, number>> = {
  defaults: 0,
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  nomand: MS_MANDLOCK,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  norelatime: MS_RELATIME,
  nostrictatime: MS_STRICTATIME,
};
const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
};

/** What only mount(8) understands; the kernel would take it for something else or refuse it. */
const HELPER_ONLY: ReadonlySet<string> = new Set(
  // With a value, `user=` is a file system's own (cifs).
  "_netdev auto noauto user nouser users owner group nofail loop loop= offset= sizelimit= helper= uhelper=".split(
    " ",
  ),
);

const OPTIONS_BYTES_MAX = 4095; // a page with its NUL: the kernel cuts what is longer

/**
 * The `o` of a local volume. Throws invalid_argument for what the kernel would read otherwise than
 * it was meant: control characters, `remount`, options that only the mount helper knows, too long.
 */
export function parseMountOptions(text: string): MountFlags {
  if (/\p{Cc}/u.test(text)) throw invalid("control characters are not allowed");
  let flags = 0;
  let propagation = 0;
  const data: string[] = [];
  for (const word of text === "" ? [] : text.split(",")) {
    const equals = word.indexOf("=");
    const key = equals === -1 ? word : word.slice(0, equals + 1);
    if (word === "") throw invalid("there is an empty option (two commas in a row)");
    if (word === "remount" || word === "move") throw invalid(`${word} is not allowed`);
    if (HELPER_ONLY.has(key) || key.startsWith("x-") || key.startsWith("X-")) {
      throw invalid(`${key} is an option of the mount program, which the kernel does not know`);
    }
    const set = SET[word];
    const clear = CLEAR[word];
    const spread = PROPAGATION[word];
    if (set !== undefined) flags |= set;
    else if (clear !== undefined) flags &= ~clear;
    else if (spread !== undefined) propagation = spread;
    else data.push(word);
  }
  const joined = data.join(",");
  if (Buffer.byteLength(joined) > OPTIONS_BYTES_MAX) {
    throw invalid(`longer than ${OPTIONS_BYTES_MAX} bytes`);
  }
  return { flags, propagation, data: joined };
}

function invalid(why: string): NaruError {
  return new NaruError("invalid_argument", `invalid option: "o": ${why}`);
}
