import type { Clock, Digest } from "../../base/mod.ts";
import type { Emit } from "../progress.ts";
import { shortImageId } from "../remove.ts";

const EVERY_MS = 100; // what an eye follows

/** Says how a layer gets on, in the words that the docker CLI draws. @see compat.md item 23 */
export class LayerProgress {
  readonly #id: string;
  readonly #totalBytes: number;
  readonly #emit: Emit;
  readonly #clock: Clock;
  #saidMs = 0;

  constructor(layer: { digest: Digest; size: number }, emit: Emit, clock: Clock) {
    this.#id = shortImageId(layer.digest);
    this.#totalBytes = layer.size;
    this.#emit = emit;
    this.#clock = clock;
  }

  say(status: string): void {
    this.#emit({ status, progressDetail: {}, id: this.#id });
  }

  /** Not more often than anybody could see; the last byte always. */
  bytes(status: string, current: number): void {
    const nowMs = this.#clock.nowMs();
    if (current < this.#totalBytes && nowMs - this.#saidMs < EVERY_MS) return;
    this.#saidMs = nowMs;
    this.#emit({ status, progressDetail: { current, total: this.#totalBytes }, id: this.#id });
  }
}
