export * from "./assert.ts";
export * from "./clock.ts";
export * from "./digest.ts";
export * from "./errors.ts";
export * from "./id.ts";
export * from "./queue.ts";
export * from "./time.ts";
export * from "./units.ts";
