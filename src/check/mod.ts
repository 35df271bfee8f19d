export { findLasting, findLeaks } from "./check.ts";
export type { EnginePlaces, Leak } from "./leak.ts";
export { runCheck } from "./run.ts";
