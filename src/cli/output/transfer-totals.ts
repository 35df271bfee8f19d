import type { ProgressMessage } from "../../spec/mod.ts";
import { formatSize } from "./human.ts";

const WINDOW_MS = 3_000; // a rate over less jumps, over more it tells of the past
const MOVING: ReadonlySet<string> = new Set(["Downloading", "Pushing"]);
const MOVED: ReadonlySet<string> = new Set([
  "Verifying Checksum",
  "Download complete",
  "Extracting",
]);
const FINISHED: ReadonlySet<string> = new Set([
  "Pull complete",
  "Already exists",
  "Pushed",
  "Layer already exists",
]);

interface Part {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly finished: boolean;
}

/** What a pull or push has moved in all, and how fast, from its messages by layer. */
export class TransferTotals {
  readonly #parts: Map<string, Part> = new Map();
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];
  #startedMs: number | undefined;

  /** Messages without an id, and of layers that move nothing, are of no account. */
  observe({ id, status = "", progressDetail }: ProgressMessage, nowMs: number): void {
    if (id === undefined) return;
    const before = this.#parts.get(id);
    const { totalBytes = 0, bytes = 0 } = before ?? {};
    if (MOVING.has(status)) {
      this.#startedMs ??= nowMs;
      this.#parts.set(id, {
        bytes: progressDetail?.current ?? bytes,
        totalBytes: progressDetail?.total ?? totalBytes,
        finished: false,
      });
    } else if (FINISHED.has(status) || status.startsWith("Mounted from")) {
      this.#parts.set(id, { bytes: totalBytes, totalBytes, finished: true });
    } else if (MOVED.has(status)) {
      this.#parts.set(id, { bytes: totalBytes, totalBytes, finished: false });
    } else if (before === undefined && KNOWN.has(status)) {
      this.#parts.set(id, { bytes, totalBytes, finished: false });
    }
    this.#samples.push({ atMs: nowMs, bytes: this.#bytes });
    while ((this.#samples[0]?.atMs ?? nowMs) < nowMs - WINDOW_MS) this.#samples.shift();
  }

  get #bytes(): number {
    return [...this.#parts.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** `2 of 5 layers, 120MB of 240MB, 45.1MB/s`; "" as long as nothing moves. */
  running(nowMs: number): string {
    if (this.#startedMs === undefined) return "";
    const parts = [...this.#parts.values()];
    const finished = parts.filter((part) => part.finished).length;
    const totalBytes = parts.reduce((sum, part) => sum + part.totalBytes, 0);
    const [first] = this.#samples;
    const elapsedMs = nowMs - (first?.atMs ?? nowMs);
    const rate = elapsedMs > 0 ? ((this.#bytes - (first?.bytes ?? 0)) * 1000) / elapsedMs : 0;
    const moved = `${formatSize(this.#bytes, 3)} of ${formatSize(totalBytes, 3)}`;
    return `${finished} of ${parts.length} layers, ${moved}, ${formatSize(rate, 3)}/s`;
  }

  /** `240MB in 5.3 s, 45.1MB/s`; "" when nothing moved. */
  done(nowMs: number): string {
    if (this.#startedMs === undefined || this.#bytes === 0) return "";
    const seconds = Math.max(nowMs - this.#startedMs, 1) / 1000;
    const rate = formatSize(this.#bytes / seconds, 3);
    return `${formatSize(this.#bytes, 3)} in ${seconds.toFixed(1)} s, ${rate}/s`;
  }
}

const KNOWN: ReadonlySet<string> = new Set(["Pulling fs layer", "Preparing", "Waiting"]);
