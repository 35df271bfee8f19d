import { greet } from "./cli/mod.ts";

process.stdout.write(greet("world"));
