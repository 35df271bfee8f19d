import { NaruError } from "../../base/mod.ts";
import type { ProgressMessage } from "../../spec/mod.ts";
import type { OutputStream } from "../io.ts";
import { formatSize } from "./human.ts";

const BAR_WIDTH = 30;

/**
 * Draws a progress stream: on a terminal one line per layer, redrawn in place; elsewhere one line
 * per change of state. Throws the stream's own error.
 */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: OutputStream,
  options: { quiet: boolean },
): Promise<void> {
  const lines = new ProgressLines(output);
  for await (const message of messages) {
    if (message.error !== undefined || message.errorDetail !== undefined) {
      const why = message.errorDetail?.message || message.error || "";
      throw new NaruError("internal", why, { code: message.errorDetail?.code ?? 0 });
    }
    if (options.quiet) continue;
    if (message.stream !== undefined) output.print(message.stream);
    else if (message.status !== undefined) lines.show(message);
  }
}

class ProgressLines {
  readonly #output: OutputStream;
  readonly #rows: Map<string, number> = new Map();
  readonly #states: Map<string, string> = new Map();

  constructor(output: OutputStream) {
    this.#output = output;
  }

  show(message: ProgressMessage): void {
    const { id, status = "" } = message;
    if (id === undefined) {
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
    const text = `${id}: ${status}${bar(message)}`.slice(0, (this.#output.columns() ?? 80) - 1);
    const row = this.#rows.get(id);
    if (row === undefined) {
      this.#rows.set(id, this.#rows.size);
      this.#output.print(`${text}\n`);
      return;
    }
    const up = this.#rows.size - row;
    this.#output.print(`\u001b[${up}A\r\u001b[2K${text}\u001b[${up}B\r`);
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
