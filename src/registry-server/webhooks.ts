import { createHmac, randomUUID } from "node:crypto";
import { type Clock, SECOND_MS } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { WorkQueue } from "../storage/mod.ts";
import type { RegistryEvent, RegistryEvents } from "./events.ts";

const KIND = "webhook";
const PENDING_MAX = 10_000; // deliveries that wait for receivers: about 5 MB on disk
const ANSWER_MS: number = 10 * SECOND_MS;
const GIVE_UP_MS: number = 24 * 3600 * SECOND_MS;
const MEDIA_TYPE = "application/vnd.docker.distribution.events.v2+json";

interface Delivery {
  readonly url: string;
  readonly body: string;
  readonly createdMs: number;
}

export interface WebhookOptions {
  readonly urls: readonly string[];
  /** Signs each body (`X-Naru-Signature: sha256=...`); undefined: unsigned. */
  readonly secret: string | undefined;
  readonly work: WorkQueue;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Pushes and deletes of manifests and tags, sent to each URL in the envelope of Docker's registry.
 * A delivery is durable before it is sent, is tried again with back-off until the receiver answers 2xx,
 * for a day at most, and may come twice. Order is not promised: events carry their time.
 */
export class Webhooks implements RegistryEvents {
  readonly #options: WebhookOptions;
  readonly #stopping: AbortController = new AbortController();
  #dropped = 0;

  constructor(options: WebhookOptions) {
    this.#options = options;
    options.work.handle(KIND, (payload) => this.#deliver(payload as Delivery));
  }

  get pending(): number {
    return this.#options.work.pending().length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  emit(event: RegistryEvent): void {
    const { urls, work, clock, logger } = this.#options;
    const isTold =
      (event.action === "push" || event.action === "delete") && event.target !== "blob";
    if (!isTold || urls.length === 0) return;
    const createdMs = clock.nowMs();
    const body = envelope(event, createdMs);
    for (const url of urls) {
      if (this.pending >= PENDING_MAX) {
        this.#dropped += 1;
        logger.error("a webhook was dropped: too many wait", { url: shownUrl(url) });
        continue;
      }
      work.add(KIND, { url, body, createdMs }).catch((error: unknown) => {
        logger.error("a webhook was not queued", { url: shownUrl(url), error });
      });
    }
  }

  async #deliver({ url, body, createdMs }: Delivery): Promise<void> {
    const { clock, logger, secret, urls } = this.#options;
    if (!urls.includes(url)) return; // no longer configured
    if (clock.nowMs() - createdMs > GIVE_UP_MS) {
      this.#dropped += 1;
      logger.error("a webhook was given up after a day", { url: shownUrl(url) });
      return;
    }
    const signature =
      secret === undefined
        ? undefined
        : `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": MEDIA_TYPE,
        ...(signature !== undefined && { "X-Naru-Signature": signature }),
      },
      body,
      redirect: "error", // a body that was signed for one receiver goes to no other
      signal: AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`${shownUrl(url)} answered ${answer.status}`);
  }

  /** Ends deliveries that run; they are sent again at the next start. */
  stop(): void {
    this.#stopping.abort();
  }
}

/** Without user and password. */
function shownUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

function envelope(event: RegistryEvent, nowMs: number): string {
  const { action, repository, digest, tag, mediaType, sizeBytes, user, address } = event;
  const url = `/v2/${repository}/manifests/${digest}`;
  const target = { mediaType, digest, size: sizeBytes, length: sizeBytes, repository, url, tag };
  const request = { id: randomUUID(), addr: address };
  const timestamp = new Date(nowMs).toISOString();
  const one = { id: randomUUID(), timestamp, action, target, request, actor: { name: user } };
  return JSON.stringify({ events: [one] });
}
