export { runRegistry } from "./run.ts";
