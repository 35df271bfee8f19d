import type { EventMessage, EventType } from "../spec/mod.ts";

/** What happened to which object. The bus adds time and scope. */
export interface EngineEvent {
  readonly type: EventType;
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export type EventFilters = ReadonlyMap<string, readonly string[]>;

export interface EventQuery {
  readonly sinceNs: bigint | undefined;
  readonly untilNs: bigint | undefined;
  /** Keys: config, container, daemon, event, image, label, network, scope, type, volume, … */
  readonly filters: EventFilters;
  readonly signal: AbortSignal;
}

/** Where events outlive the engine; storage supplies it. */
export interface EventJournal {
  load(): readonly EventMessage[];
  /** Need not be durable when it returns; order is kept. */
  append(event: EventMessage): void;
}

export interface EventBus {
  publish(event: EngineEvent): void;
  /**
   * History since `sinceNs`, then what comes, with no gap between the two; ends at `untilNs` or when
   * `signal` aborts. A subscriber that lags is bounded: it ends with an error rather than grow.
   */
  subscribe(query: EventQuery): AsyncIterable<EventMessage>;
  subscriberCount(): number;
}
