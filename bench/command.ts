/** Runs programs and takes the time. */
import type { Client } from "./contender.ts";

/** Runs to the end; throws with what it said when it fails. Gives its output and the wall time. */
export async function run(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly output: string; readonly tookMs: number }> {
  const started = performance.now();
  const child = Bun.spawn([...argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  const [output, complaint, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const tookMs = performance.now() - started;
  if (code !== 0)
    throw new Error(`${argv.join(" ")}: exit ${code}: ${complaint.trim().slice(-500)}`);
  return { output, tookMs };
}

/** `run` for a client: `runClient(client, "run", "--rm", ...)`. */
export function runClient(
  client: Client,
  ...args: readonly string[]
): Promise<{ readonly output: string; readonly tookMs: number }> {
  return run([...client.argv, ...args], client.env);
}

/** Runs `count` commands, `atOnce` of them at any time; gives the wall time in ms. */
export async function runMany(
  count: number,
  atOnce: number,
  one: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const started = performance.now();
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await one(index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return performance.now() - started;
}

/** Output of a command, or undefined when it is not installed or fails. */
export function textOf(...argv: string[]): string | undefined {
  if (Bun.which(argv[0] ?? "") === null) return undefined;
  const done = Bun.spawnSync(argv, { stdin: "ignore" });
  return done.success ? done.stdout.toString().trim() : undefined;
}
