import { type Clock, NaruError, systemClock } from "../../base/mod.ts";
import type { ProgressMessage } from "../../spec/mod.ts";
import type { OutputStream } from "../io.ts";
import { formatSize } from "./human.ts";
import { TransferTotals } from "./transfer-totals.ts";

const BAR_WIDTH = 30;

const TOTALS_EVERY_MS = 100; // more often nobody can read it
const ROWS_DEFAULT = 24; // of a terminal that does not say how high it is

/**
 * Draws a progress stream: on a terminal one line per layer, redrawn in place, with a line of totals
 * below; elsewhere one line per change of state. Throws the stream's own error.
 */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: OutputStream,
  options: { quiet: boolean; clock?: Pick<Clock, "nowMs"> },
): Promise<void> {
  const lines = new ProgressLines(output, options.clock ?? systemClock);
  try {
    for await (const message of messages) {
      if (message.error !== undefined || message.errorDetail !== undefined) {
        const why = message.errorDetail?.message || message.error || "";
        throw new NaruError("internal", why, { code: message.errorDetail?.code ?? 0 });
      }
      if (options.quiet) continue;
      if (message.stream !== undefined) output.print(message.stream);
      else if (message.status !== undefined) lines.show(message);
    }
  } finally {
    lines.end();
  }
}

class ProgressLines {
  readonly #output: OutputStream;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #rows: Map<string, number> = new Map();
  readonly #states: Map<string, string> = new Map();
  readonly #totals: TransferTotals = new TransferTotals();
  #totalsMs = 0;
  /** The line of totals is on the screen, and the cursor at its beginning. */
  #hasTotals = false;

  constructor(output: OutputStream, clock: Pick<Clock, "nowMs">) {
    this.#output = output;
    this.#clock = clock;
  }

  show(message: ProgressMessage): void {
    const { id, status = "" } = message;
    const nowMs = this.#clock.nowMs();
    this.#totals.observe(message, nowMs);
    if (id === undefined) {
      this.#clearTotals();
      this.#output.print(`${status}\n`);
      this.#rows.clear(); // lines above this one stay as they are
      return;
    }
    if (!this.#output.isTty) {
      if (this.#states.get(id) === status) return;
      this.#states.set(id, status);
      this.#output.print(`${id}: ${status}\n`);
      return;
    }
    this.#draw(id, this.#fit(`${id}: ${status}${bar(message)}`));
    if (nowMs - this.#totalsMs < TOTALS_EVERY_MS) return;
    this.#totalsMs = nowMs;
    const totals = this.#totals.running(nowMs);
    if (totals === "") return;
    this.#output.print(`\r\u001b[2K${this.#fit(totals)}\r`);
    this.#hasTotals = true;
  }

  #draw(id: string, text: string): void {
    const row = this.#rows.get(id);
    if (row !== undefined) {
      const up = this.#rows.size - row;
      this.#output.print(`\u001b[${up}A\r\u001b[2K${text}\u001b[${up}B\r`);
      return;
    }
    // What does not fit on the screen cannot be redrawn: the totals count it all the same.
    if (this.#rows.size >= (this.#output.rows() ?? ROWS_DEFAULT) - 2) return;
    this.#clearTotals();
    this.#rows.set(id, this.#rows.size);
    this.#output.print(`${text}\n`);
  }

  #fit(text: string): string {
    return text.slice(0, (this.#output.columns() ?? 80) - 1);
  }

  #clearTotals(): void {
    if (this.#hasTotals) this.#output.print("\r\u001b[2K");
    this.#hasTotals = false;
  }

  /** Leaves the sum behind; where nobody watched, what was printed is enough. */
  end(): void {
    this.#clearTotals();
    if (!this.#output.isTty) return;
    const done = this.#totals.done(this.#clock.nowMs());
    if (done !== "") this.#output.print(`${done}\n`);
  }
}

function bar(message: ProgressMessage): string {
  const current = message.progressDetail?.current;
  const total = message.progressDetail?.total;
  if (current === undefined) return "";
  if (total === undefined || total <= 0) return ` ${formatSize(current)}`;
  const done = Math.min(BAR_WIDTH, Math.floor((current / total) * BAR_WIDTH));
  const drawn = `${"=".repeat(done)}${done < BAR_WIDTH ? ">" : ""}`.padEnd(BAR_WIDTH);
  return ` [${drawn}] ${formatSize(current)}/${formatSize(total)}`;
}
