import { errorCode, isNaruError, NaruError } from "../base/mod.ts";

const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE"]);

/** `exhausted` for a full disk or quota, else the error as it is. */
export function diskError(error: unknown, doing: string): unknown {
  const code = errorCode(error);
  if (isNaruError(error) || code === undefined || !FULL.has(code)) return error;
  return new NaruError(
    "exhausted",
    `${doing}: no space left (${code})`,
    { code },
    { cause: error },
  );
}
