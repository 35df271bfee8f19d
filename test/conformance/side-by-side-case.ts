import type { CliResult } from "../harness/cli.ts";

export interface Step {
  readonly args: readonly string[];
  readonly stdin?: Uint8Array;
  /** Asked at this version of the API, where the newest has other rules than dockerd's. */
  readonly api?: string;
  /** What of the output is compared; all of it when absent. */
  readonly look?: (result: CliResult) => string;
}

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** Same words in both, whatever they were. */
export function neutral(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, "<id>")
    .replace(/\b[0-9a-f]{12}\b/g, "<short id>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, "<time>")
    .replace(/(?:Less than|About|\d+) (?:a |an )?(?:second|minute|hour)s?(?: ago)?/g, "<age>")
    .replace(/\d+ years ago/g, "<age>")
    .replace(/^time=.*level=error.*\n/gm, "") // the client's own log, when the engine refuses an upload
    .replace(/\b[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d\b/g, "<time>")
    .replace(/ +/g, " ")
    .trimEnd();
}

export const run = (...args: readonly string[]): Step => ({ args });
export const sizeless = (result: CliResult): string =>
  seen(result).replace(/\b\d+(?:\.\d+)?\s?[kMG]?i?B\b/g, "<size>");
export const seen = ({ exitCode, stdout, stderr }: CliResult): string =>
  neutral(`exit ${exitCode}\n${stdout}--\n${stderr}`);
export const sorted = (result: CliResult): string => seen(result).split("\n").toSorted().join("\n");
export const onlyExit = ({ exitCode, stderr }: CliResult): string =>
  neutral(`exit ${exitCode}\n${stderr}`);

/** What dockerd puts into each container's layer for its mounts; with naru that is in no layer. */
const MOUNT_POINTS =
  /^(?:\.dockerenv|dev\/(?:console|pts\/|shm\/)|etc\/(?:hosts|hostname|mtab|resolv\.conf))$/;

/** Names in an archive on standard output. */
export const names = (result: CliResult): string => {
  const listed = Bun.spawnSync(["tar", "-tf", "-"], {
    stdin: result.stdoutBytes,
  }).stdout.toString();
  return `exit ${result.exitCode}\n${listed
    .split("\n")
    .filter((name) => !MOUNT_POINTS.test(name))
    .toSorted()
    .join("\n")}`;
};

export const SLEEP = ["--network", "none", "busybox", "sleep", "1000"] as const;
export const MADE = ["--network", "none", "busybox", "true"] as const;

export interface Difference {
  readonly step: RegExp;
  readonly why: string;
  readonly naru: RegExp;
}
