import { unreachable } from "../base/mod.ts";
import type { MonitorHandle } from "../runtime/mod.ts";
import type { ContainerStatusWord } from "../spec/mod.ts";

/** How a run ended. Times in nanoseconds since the epoch, as decimal texts (rows are JSON). */
export interface ExitInfo {
  readonly exitCode: number;
  readonly startedAtNs: string;
  readonly finishedAtNs: string;
  readonly oomKilled: boolean;
  /** What an inspect shows as State.Error, "" for none. */
  readonly error: string;
}

/**
 * Where a container is in its life; the row in the database says the same. `starting` is the
 * recorded intent to start, and is shown to clients as what came before it.
 * @see docs/decisions/0020-container-states.md
 */
export type ContainerLifeState =
  /** `error` and `exitCode` tell of a start that failed. */
  | { readonly kind: "created"; readonly error: string; readonly exitCode: number }
  | {
      readonly kind: "starting";
      readonly before: SettledState;
      /** A restart policy starts it: clients see `restarting` until it runs. */
      readonly againAtNs?: string;
    }
  | {
      readonly kind: "running";
      readonly handle: MonitorHandle;
      readonly startedAtNs: string;
      readonly paused: boolean;
    }
  | ({ readonly kind: "exited" } & ExitInfo)
  /** Ended, and to be started again at `againAtNs` by its restart policy. */
  | ({ readonly kind: "restarting"; readonly againAtNs: string } & ExitInfo);

export type SettledState = Extract<ContainerLifeState, { kind: "created" | "exited" }>;

/** The state without the fact that a start is under way. */
export function shownState(
  state: ContainerLifeState,
): Exclude<ContainerLifeState, { kind: "starting" }> {
  if (state.kind !== "starting") return state;
  const { before, againAtNs } = state;
  if (againAtNs === undefined || before.kind !== "exited") return before;
  return { ...before, kind: "restarting", againAtNs };
}

/** The last exit, if there was one. */
export function lastExit(state: ContainerLifeState): ExitInfo | undefined {
  const shown = shownState(state);
  return shown.kind === "exited" || shown.kind === "restarting" ? shown : undefined;
}

/** What a start finds before it: a state to go back to. */
export function settledState(state: ContainerLifeState): SettledState {
  switch (state.kind) {
    case "created":
    case "exited":
      return state;
    case "starting":
      return state.before;
    case "restarting": {
      const { againAtNs: _, ...exit } = state;
      return { ...exit, kind: "exited" };
    }
    case "running":
      return {
        kind: "exited",
        exitCode: 137,
        startedAtNs: state.startedAtNs,
        finishedAtNs: state.startedAtNs,
        oomKilled: false,
        error: "",
      };
    default:
      return unreachable(state);
  }
}

export function isRunning(
  state: ContainerLifeState,
): state is Extract<ContainerLifeState, { kind: "running" }> {
  return state.kind === "running";
}

/** The word that clients see. */
export function statusWord(state: ContainerLifeState): ContainerStatusWord {
  const shown = shownState(state);
  switch (shown.kind) {
    case "created":
      return "created";
    case "running":
      return shown.paused ? "paused" : "running";
    case "restarting":
      return "restarting";
    case "exited":
      return "exited";
    default:
      return unreachable(shown);
  }
}
