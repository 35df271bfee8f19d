import { type Clock, MS_NS, NaruError } from "../base/mod.ts";
import type { EventMessage } from "../spec/mod.ts";
import type { EngineEvent, EventBus, EventJournal, EventQuery } from "./contract.ts";
import { checkEventFilters, matchesEvent } from "./filter.ts";

/** Events kept for `since`: about 2 MB, and hours of work for one host. */
export const EVENT_HISTORY_MAX: number = 4096;

/** Events that a subscriber may leave unread before it is ended. */
export const EVENT_LAG_MAX: number = 16_384;

const SECOND_NS = 1_000_000_000n;

export interface EventBusOptions {
  readonly clock: Clock;
  readonly journal: EventJournal;
  readonly historyMax?: number;
  readonly lagMax?: number;
}

/** The bus of one engine; starts with what the journal has kept. */
export function createEventBus(options: EventBusOptions): EventBus {
  const historyMax = options.historyMax ?? EVENT_HISTORY_MAX;
  const history: EventMessage[] = options.journal.load().slice(-historyMax);
  const subscribers = new Set<Subscriber>();
  let lastNs = BigInt(history.at(-1)?.timeNano ?? "0");

  return {
    publish(event) {
      const nowNs = options.clock.nowNs();
      lastNs = nowNs > lastNs ? nowNs : lastNs + 1n;
      const message = toMessage(event, lastNs);
      history.push(message);
      // Trimmed by halves: moving the array at each event would cost more than the event.
      if (history.length >= 2 * historyMax) history.splice(0, history.length - historyMax);
      for (const subscriber of subscribers) subscriber.offer(message);
      options.journal.append(message);
    },
    subscribe(query) {
      checkEventFilters(query.filters);
      const subscriber = new Subscriber(query, options.lagMax ?? EVENT_LAG_MAX);
      const past = query.untilNs !== undefined && query.untilNs <= options.clock.nowNs();
      if (query.sinceNs !== undefined || query.untilNs !== undefined) {
        for (const message of history.slice(-historyMax)) subscriber.replay(message);
      }
      if (past || query.signal.aborted) {
        subscriber.end();
        return subscriber;
      }
      subscribers.add(subscriber);
      const stop = (): void => subscriber.end();
      query.signal.addEventListener("abort", stop, { once: true });
      const cancelTimer =
        query.untilNs === undefined ? undefined : armUntil(options.clock, query.untilNs, stop);
      subscriber.onEnd = () => {
        subscribers.delete(subscriber);
        query.signal.removeEventListener("abort", stop);
        cancelTimer?.();
      };
      return subscriber;
    },
    subscriberCount: () => subscribers.size,
  };
}

const TIMER_MS_MAX = 0x7fff_ffff; // setTimeout fires at once beyond 31 bits

function armUntil(clock: Clock, untilNs: bigint, stop: () => void): () => void {
  let cancel: () => void = () => undefined;
  const arm = (): void => {
    const leftMs = Number((untilNs - clock.nowNs()) / MS_NS) + 1;
    if (leftMs <= 1 && clock.nowNs() >= untilNs) stop();
    else cancel = clock.after(Math.min(Math.max(leftMs, 1), TIMER_MS_MAX), arm);
  };
  arm();
  return () => cancel();
}

function toMessage(event: EngineEvent, timeNs: bigint): EventMessage {
  return {
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.id, Attributes: { ...event.attributes } },
    scope: "local",
    time: Number(timeNs / SECOND_NS),
    timeNano: timeNs.toString(),
  };
}

/** One reader: what it has not read yet, and the promise it waits on. */
class Subscriber implements AsyncIterable<EventMessage>, AsyncIterator<EventMessage> {
  onEnd: () => void = () => undefined;
  readonly #query: EventQuery;
  readonly #lagMax: number;
  #queue: EventMessage[] = [];
  #waiting: PromiseWithResolvers<IteratorResult<EventMessage>> | undefined;
  #ended = false;
  #failure: NaruError | undefined;

  constructor(query: EventQuery, lagMax: number) {
    this.#query = query;
    this.#lagMax = lagMax;
  }

  replay(message: EventMessage): void {
    const timeNs = BigInt(message.timeNano);
    if (this.#query.sinceNs !== undefined && timeNs < this.#query.sinceNs) return;
    this.offer(message);
  }

  offer(message: EventMessage): void {
    if (this.#ended || !matchesEvent(message, this.#query.filters)) return;
    const { untilNs } = this.#query;
    if (untilNs !== undefined && BigInt(message.timeNano) > untilNs) return;
    if (this.#waiting !== undefined) {
      this.#waiting.resolve({ done: false, value: message });
      this.#waiting = undefined;
      return;
    }
    if (this.#queue.length >= this.#lagMax) {
      this.#queue = [];
      this.#failure = new NaruError(
        "exhausted",
        `event stream ended: the reader is more than ${this.#lagMax} events behind`,
      );
      this.end();
      return;
    }
    this.#queue.push(message);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd();
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = undefined;
  }

  [Symbol.asyncIterator](): AsyncIterator<EventMessage> {
    return this;
  }

  next(): Promise<IteratorResult<EventMessage>> {
    const message = this.#queue.shift();
    if (message !== undefined) return Promise.resolve({ done: false, value: message });
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      return Promise.reject(failure);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    this.#waiting ??= Promise.withResolvers<IteratorResult<EventMessage>>();
    return this.#waiting.promise;
  }

  return(): Promise<IteratorResult<EventMessage>> {
    this.#queue = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }
}
