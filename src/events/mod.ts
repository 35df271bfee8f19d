export * from "./bus.ts";
export type * from "./contract.ts";
export { createTableJournal, type EventRows, type TableJournal } from "./journal.ts";
