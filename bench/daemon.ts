/** Starts a daemon in a network namespace that is its own, waits for its socket, stops it and takes away its mounts. */
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";
import type { Netns } from "./netns.ts";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 60_000;

export interface Daemon {
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startDaemon(
  argv: readonly string[],
  options: { readonly root: string; readonly socketPath: string; readonly netns: Netns },
): Promise<Daemon> {
  const logPath = join(options.root, "log");
  const log = openSync(logPath, "w");
  const child = Bun.spawn([...options.netns.enter, ...argv], {
    stdin: "ignore",
    stdout: log,
    stderr: log,
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(late);
    await unmountUnder(options.root);
    await options.netns.close();
  };
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS && child.exitCode === null; waitedMs += 50) {
    const answer = await fetch("http://engine/_ping", { unix: options.socketPath }).catch(
      () => undefined,
    );
    if (answer?.ok) return { pid: child.pid, stop };
    await Bun.sleep(50);
  }
  await stop();
  throw new Error(`${argv.join(" ")} did not start: ${readFileSync(logPath, "utf8").slice(-1500)}`);
}

/** Detaches every mount below `root`, the deepest first. */
export async function unmountUnder(root: string): Promise<void> {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const targets = lines.map((line) => line.split(" ")[1] ?? "");
  for (const target of targets.filter((target) => target.startsWith(`${root}/`)).reverse()) {
    await run(["umount", "-l", target]).catch(() => undefined); // gone with its parent
  }
}
