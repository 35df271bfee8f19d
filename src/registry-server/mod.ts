export { runRegistry } from "./run.ts";
export { serveWithin } from "./serve.ts";
