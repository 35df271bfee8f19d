export * from "./engine/mod.ts";
