import { appendFile } from "node:fs/promises";
import { type Clock, formatTimestamp } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { RegistryEvent, RegistryEvents } from "./events.ts";

const WAITING_MAX = 100_000; // lines kept while the disk is slow or full: about 30 MB

/**
 * One JSON object a line: time, who from where, what. The file is opened for each batch, so that it
 * may be rotated by renaming. Reading is written down too; whoever wants less filters by `action`.
 */
export class AuditLog implements RegistryEvents {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #lost = 0;

  constructor(path: string, clock: Clock, logger: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
  }

  emit(event: RegistryEvent): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#lost += 1;
      return;
    }
    const time = formatTimestamp(this.#clock.nowNs());
    this.#waiting.push(`${JSON.stringify({ time, ...event })}\n`);
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // gather what happens in the same moment
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await appendFile(this.#path, lines.join(""), { mode: 0o600 });
      } catch (error) {
        this.#lost += lines.length;
        this.#logger.error("the audit log lost lines", { lines: this.#lost, error });
      }
    }
    this.#writing = undefined;
  }

  /** Resolves when all lines are in the file. */
  async close(): Promise<void> {
    await this.#writing;
  }
}
