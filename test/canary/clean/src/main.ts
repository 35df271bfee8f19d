const { greet } = await import("./cli/mod.ts");
const { pageBytes } = await import("./linux/mod.ts");
const { rows } = await import("./storage/mod.ts");
process.stdout.write(`${greet("world")} ${pageBytes()} ${rows()}\n`);
