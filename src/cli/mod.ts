export { type CliIo, systemIo } from "./io.ts";
export { runCli } from "./run-cli.ts";
