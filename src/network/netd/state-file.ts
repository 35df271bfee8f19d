import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { type Clock, errorCode } from "../../base/mod.ts";
import { NETD_PROTOCOL, type NetdState } from "./protocol.ts";

const DELAY_MS = 20; // many containers that start at once are one file

/** What netd knows, in the run root: one that was killed goes on where it was. */
export class StateFile {
  readonly #path: string;
  readonly #clock: Clock;
  #pending: (() => NetdState) | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Empty where there is none, or one of another version or cut off. */
  read(): NetdState {
    const empty: NetdState = { ports: [], names: [] };
    try {
      const found = JSON.parse(readFileSync(this.#path, "utf8")) as unknown;
      return isState(found) ? { ports: found.ports, names: found.names } : empty;
    } catch (error) {
      if (errorCode(error) === "ENOENT" || error instanceof SyntaxError) return empty;
      throw error;
    }
  }

  /** Soon; `state` is asked for what there is then. */
  write(state: () => NetdState): void {
    const scheduled = this.#pending !== undefined;
    this.#pending = state;
    if (!scheduled) this.#clock.after(DELAY_MS, () => this.flush());
  }

  flush(): void {
    const state = this.#pending;
    this.#pending = undefined;
    if (state === undefined) return;
    const aside = `${this.#path}.new`;
    writeFileSync(aside, JSON.stringify({ protocol: NETD_PROTOCOL, ...state() }), { mode: 0o600 });
    renameSync(aside, this.#path);
  }
}

function isState(value: unknown): value is NetdState {
  if (typeof value !== "object" || value === null) return false;
  const state = value as Partial<NetdState> & { readonly protocol?: unknown };
  return (
    state.protocol === NETD_PROTOCOL && Array.isArray(state.ports) && Array.isArray(state.names)
  );
}
