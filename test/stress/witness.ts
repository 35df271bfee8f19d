import type { TestEngine } from "../harness/engine.ts";

interface Seen {
  readonly Action: string;
  readonly timeNano: number;
  readonly Actor: { readonly ID: string };
}

const ACTIONS: ReadonlySet<string> = new Set(["create", "start", "die", "destroy"]);
/** An event that was told less than this before a kill -9 may be lost: the journal's delay. */
const KILL_MARGIN_NS = 1_000_000_000;

/** Follows the events of containers from engine to engine and judges whether one is missing. */
export class Witness {
  readonly #events: Map<string, Map<number, string>> = new Map();
  readonly #kills: number[] = [];
  readonly #over: AbortController = new AbortController();
  #lastNs = 0;

  async follow(engine: TestEngine): Promise<void> {
    while (!this.#over.signal.aborted) {
      try {
        const since = (this.#lastNs / 1e9).toFixed(9);
        const filters = encodeURIComponent(JSON.stringify({ type: ["container"] }));
        const answer = await engine.fetch(`/events?since=${since}&filters=${filters}`, {
          signal: this.#over.signal,
        });
        await this.#read(answer);
      } catch {
        if (!this.#over.signal.aborted) await Bun.sleep(50); // the engine is down
      }
    }
  }

  async #read(answer: Response): Promise<void> {
    if (answer.body === null) return;
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") this.#take(JSON.parse(line) as Seen);
    }
  }

  #take({ Action, timeNano, Actor }: Seen): void {
    this.#lastNs = Math.max(this.#lastNs, timeNano);
    if (!ACTIONS.has(Action)) return;
    const known = this.#events.get(Actor.ID) ?? new Map<number, string>();
    known.set(timeNano, Action);
    this.#events.set(Actor.ID, known);
  }

  killed(): void {
    this.#kills.push(Date.now() * 1e6);
  }

  end(): void {
    this.#over.abort();
  }

  /** Starts without a die, creates without a destroy; and how many a kill -9 may have taken. */
  judge(): { starts: number; missing: string[]; uncertain: number } {
    const missing: string[] = [];
    let [starts, uncertain] = [0, 0];
    for (const [id, byTime] of this.#events) {
      const events = [...byTime].toSorted(([a], [b]) => a - b);
      const add = (what: string, fromNs: number, toNs: number): void => {
        const killed = this.#kills.some(
          (at) => at > fromNs - KILL_MARGIN_NS && at < toNs + KILL_MARGIN_NS,
        );
        if (killed) uncertain += 1;
        else missing.push(`${id.slice(0, 12)}: ${what}`);
      };
      let startedNs: number | undefined;
      for (const [ns, action] of events) {
        if (startedNs !== undefined && (action === "start" || action === "destroy")) {
          add(`start without die before ${action}`, startedNs, ns);
        }
        if (action === "start") starts += 1;
        startedNs = action === "start" ? ns : undefined;
      }
      const last = events.at(-1);
      if (startedNs !== undefined) add("start without die", startedNs, Number.MAX_VALUE);
      if (last !== undefined && !events.some(([, action]) => action === "destroy")) {
        add("create without destroy", events[0]?.[0] ?? 0, Number.MAX_VALUE);
      }
    }
    return { starts, missing, uncertain };
  }
}
