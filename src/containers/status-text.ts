import { unreachable } from "../base/mod.ts";
import { type ContainerLifeState, shownState } from "./state.ts";

const NS_PER_S = 1_000_000_000n;

/** `Up 3 minutes`, `Exited (0) 2 hours ago`, as `docker ps` prints it. `health` is "" without a check. */
export function statusText(state: ContainerLifeState, nowNs: bigint, health = ""): string {
  const shown = shownState(state);
  switch (shown.kind) {
    case "created":
      return "Created";
    case "running": {
      const up = `Up ${durationText(secondsSince(shown.startedAtNs, nowNs))}`;
      if (shown.paused) return `${up} (Paused)`;
      if (health === "") return up;
      return `${up} (${health === "starting" ? "health: starting" : health})`;
    }
    case "exited":
      return `Exited (${shown.exitCode}) ${durationText(secondsSince(shown.finishedAtNs, nowNs))} ago`;
    case "restarting":
      return `Restarting (${shown.exitCode}) ${durationText(secondsSince(shown.finishedAtNs, nowNs))} ago`;
    default:
      return unreachable(shown);
  }
}

function secondsSince(thenNs: string, nowNs: bigint): number {
  const seconds = Number((nowNs - BigInt(thenNs)) / NS_PER_S);
  return seconds > 0 ? seconds : 0;
}

const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;
const WEEK_S = 7 * DAY_S;
const MONTH_S = 30 * DAY_S;
const YEAR_S = 365 * DAY_S;

/** A length of time in the words that Docker's clients show. */
export function durationText(seconds: number): string {
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < MINUTE_S) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / MINUTE_S);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / HOUR_S);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(seconds / WEEK_S)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(seconds / MONTH_S)} months`;
  return `${Math.floor(seconds / YEAR_S)} years`;
}
