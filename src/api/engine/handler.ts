import type { RawConnection } from "../../transport/mod.ts";
import type { Call, CallBase } from "./call.ts";
import type { RawAnswer } from "./raw-answer.ts";
import type { Route } from "./router.ts";
import type { EngineApiOptions, EngineServices } from "./services.ts";

/** What handlers may use. */
export interface EngineContext extends EngineServices {
  readonly options: Required<EngineApiOptions>;
}

/** Answers a call, or throws. */
export type PlainHandler = (call: Call, context: EngineContext) => Promise<void> | void;

/** Owns the raw connection; answers on it, or throws before it has. */
export type HijackHandler = (call: HijackCall, context: EngineContext) => Promise<void>;

export interface HijackCall extends CallBase {
  readonly connection: RawConnection;
  readonly answer: RawAnswer;
}

export type Handler =
  | { readonly kind: "plain"; readonly run: PlainHandler }
  | { readonly kind: "hijack"; readonly run: HijackHandler };

export type EngineRoute = Route<Handler>;

export function plain(
  operation: string,
  run: PlainHandler,
  versions: { since?: number; until?: number } = {},
): EngineRoute {
  return { operation, handler: { kind: "plain", run }, ...versions };
}

export function hijack(operation: string, run: HijackHandler): EngineRoute {
  return { operation, handler: { kind: "hijack", run } };
}
