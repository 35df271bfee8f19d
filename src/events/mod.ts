export * from "./bus.ts";
export type * from "./contract.ts";
export { createTableJournal } from "./journal.ts";
