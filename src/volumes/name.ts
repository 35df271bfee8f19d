import { NaruError } from "../base/mod.ts";

/** Docker's rule for names of local volumes. */
const LOCAL_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const NAME_BYTES_MAX = 255; // NAME_MAX: the name is a directory
const SHOWN_MAX = 100; // characters of a wrong name in a message

/** Throws invalid_argument in Docker's words. */
export function checkLocalName(name: string): void {
  if (isLocalName(name)) return;
  const shown = shownName(name);
  if (name.length === 1) {
    throw new NaruError(
      "invalid_argument",
      `create ${shown}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  }
  throw new NaruError(
    "invalid_argument",
    `create ${shown}: "${shown}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}

export function isLocalName(name: string): boolean {
  return LOCAL_NAME.test(name) && Buffer.byteLength(name) <= NAME_BYTES_MAX;
}

/** A plugin may allow more in a name; what would be a path or not print is never one. */
export function checkPluginName(name: string): void {
  const printable = /^[^\p{Cc}\p{Cf}/\\]+$/u.test(name) && name !== "." && name !== "..";
  if (printable && Buffer.byteLength(name) <= NAME_BYTES_MAX) return;
  throw new NaruError(
    "invalid_argument",
    `create ${shownName(name)}: a volume's name has 1 to ${NAME_BYTES_MAX} bytes, no slash and no control characters`,
  );
}

/** For messages: short, and nothing that moves a terminal's cursor. */
export function shownName(name: string): string {
  const short = name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name;
  return short.replace(/[\p{Cc}\p{Cf}]/gu, "?");
}

export function noSuchVolume(name: string): NaruError {
  return new NaruError("not_found", `get ${shownName(name)}: no such volume`, { volume: name });
}
