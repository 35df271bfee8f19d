/** Tests set `NARU_CRASH_AT=name` or `name:count` (the count-th time). Read once: some paths are hot. */
const wanted: string | undefined = process.env["NARU_CRASH_AT"];
let left = Number(wanted?.split(":")[1] ?? "1");
const wantedPoint: string | undefined = wanted?.split(":")[0];

/**
 * Kills this process at once, as kill -9 would, when the environment names this point. Each room has
 * a list of its own, so that a point which no test reaches does not compile or fails.
 */
export function crashHere(name: string): void {
  if (wantedPoint !== name) return;
  left -= 1;
  if (left <= 0) process.kill(process.pid, "SIGKILL");
}
