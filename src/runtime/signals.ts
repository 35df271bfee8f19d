import { NaruError } from "../base/mod.ts";

/** Linux signals 1 to 31 in order, without `SIG`. The same on every architecture naru runs on. */
const STANDARD: readonly string[] = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP " +
  "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");

const ALIASES: Readonly<Record<string, number>> = { CLD: 17, IOT: 6, POLL: 29, UNUSED: 31 };

/** glibc keeps 32 and 33 for itself: RTMIN is 34. @see signal(7) */
const RTMIN = 34;
const RTMAX = 64;

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ...STANDARD.map((name, index): [string, number] => [name, index + 1]),
  ...Object.entries(ALIASES),
]);

/**
 * The number of a signal given as `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3` or `SIGRTMAX-2`.
 * Throws invalid_argument in Docker's words.
 */
export function parseSignal(text: string): number {
  const wanted = text.trim();
  if (/^\d+$/.test(wanted)) {
    const number = Number(wanted);
    if (number >= 1 && number <= RTMAX) return number;
    throw invalid(text);
  }
  const name = wanted.toUpperCase().replace(/^SIG/, "");
  const standard = NUMBERS.get(name);
  if (standard !== undefined) return standard;
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime === null) throw invalid(text);
  const [, base, sign, digits] = realtime;
  const distance = Number(digits ?? "0") * (sign === "-" ? -1 : 1);
  const number = (base === "MIN" ? RTMIN : RTMAX) + distance;
  if (number < RTMIN || number > RTMAX) throw invalid(text);
  return number;
}

function invalid(text: string): NaruError {
  return new NaruError("invalid_argument", `Invalid signal: ${text}`);
}
