import { formatTimestamp, MS_NS } from "../base/mod.ts";
import type { ContainerConfig, HealthReport } from "../spec/mod.ts";

export type HealthState = HealthReport;

const LOG_ENTRIES_MAX = 5; // Docker keeps five
const SECOND_MS = 1000;

/** A check with Docker's defaults filled in. */
export interface HealthPlan {
  readonly args: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export interface ProbeResult {
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** -1: it did not end in time. */
  readonly exitCode: number;
  readonly output: string;
}

/** undefined: the container has no check, or `NONE`. */
export function planHealth(config: ContainerConfig): HealthPlan | undefined {
  const health = config.Healthcheck;
  const [kind = "", ...words] = health?.Test ?? [];
  if (kind === "" || kind === "NONE") return undefined;
  const shell = config.Shell ?? ["/bin/sh", "-c"];
  const ms = (ns: number | undefined, otherwise: number): number =>
    ns === undefined || ns === 0 ? otherwise : ns / Number(MS_NS);
  return {
    args: kind === "CMD-SHELL" ? [...shell, words.join(" ")] : words,
    intervalMs: ms(health?.Interval, 30 * SECOND_MS),
    timeoutMs: ms(health?.Timeout, 30 * SECOND_MS),
    startPeriodMs: ms(health?.StartPeriod, 0),
    startIntervalMs: ms(health?.StartInterval, 5 * SECOND_MS),
    retries: health?.Retries || 3,
  };
}

const STATUSES: readonly unknown[] = ["starting", "healthy", "unhealthy"];

/** Is this what was written, read back? */
export function isHealthState(value: unknown): value is HealthState {
  if (typeof value !== "object" || value === null) return false;
  const { Status, FailingStreak, Log } = value as Record<string, unknown>;
  const isEntry = (entry: unknown): boolean => {
    if (typeof entry !== "object" || entry === null) return false;
    const { Start, End, ExitCode, Output } = entry as Record<string, unknown>;
    const texts = [Start, End, Output];
    return texts.every((text) => typeof text === "string") && Number.isInteger(ExitCode);
  };
  return (
    STATUSES.includes(Status) &&
    Number.isInteger(FailingStreak) &&
    Array.isArray(Log) &&
    Log.length <= LOG_ENTRIES_MAX &&
    Log.every(isEntry)
  );
}

export function newHealth(): HealthState {
  return { Status: "starting", FailingStreak: 0, Log: [] };
}

/** What a probe makes of the state. Failures in the start period count only once it was healthy. */
export function afterProbe(
  state: HealthState,
  plan: HealthPlan,
  probe: ProbeResult,
  runStartedNs: bigint,
): HealthState {
  const entry = {
    Start: formatTimestamp(probe.startNs),
    End: formatTimestamp(probe.endNs),
    ExitCode: probe.exitCode,
    Output: probe.output,
  };
  const Log = [...state.Log, entry].slice(-LOG_ENTRIES_MAX);
  if (probe.exitCode === 0) return { Status: "healthy", FailingStreak: 0, Log };
  const ranMs = Number(probe.startNs - runStartedNs) / Number(MS_NS);
  if (state.Status === "starting" && ranMs < plan.startPeriodMs) return { ...state, Log };
  const FailingStreak = state.FailingStreak + 1;
  const Status = FailingStreak >= plan.retries ? "unhealthy" : state.Status;
  return { Status, FailingStreak, Log };
}

export function nextProbeMs(state: HealthState, plan: HealthPlan, ranMs: number): number {
  const starting = state.Status === "starting" && ranMs < plan.startPeriodMs;
  return starting ? plan.startIntervalMs : plan.intervalMs;
}
