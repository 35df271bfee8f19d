/** Starts a daemon in a network namespace that is its own, waits for its socket, stops it and takes away its mounts. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./command.ts";
import type { Netns } from "./netns.ts";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 60_000;
const POLL_MS = 5; // an engine of ours starts in a few of them

export interface Daemon {
  /** Milliseconds from the start until it answers again. */
  restart(): Promise<number>;
  stop(): Promise<void>;
}

export async function startDaemon(
  argv: readonly string[],
  options: { readonly root: string; readonly socketPath: string; readonly netns: Netns },
): Promise<Daemon> {
  const logPath = join(options.root, "log");
  const spawn = (): Bun.Subprocess => {
    const log = openSync(logPath, "a");
    const stdio = { stdin: "ignore", stdout: log, stderr: log } as const;
    const child = Bun.spawn([...options.netns.enter, ...argv], stdio);
    closeSync(log);
    return child;
  };
  let child = spawn();
  const stop = async (): Promise<void> => {
    await end(child);
    await unmountUnder(options.root);
    await options.netns.close();
  };
  const started = async (): Promise<void> => {
    if (await answers(child, options.socketPath)) return;
    await stop();
    const log = readFileSync(logPath, "utf8").slice(-1500);
    throw new Error(`${argv.join(" ")} did not start: ${log}`);
  };
  await started();
  return {
    stop,
    restart: async () => {
      await end(child);
      const startedAt = performance.now();
      child = spawn();
      await started();
      return performance.now() - startedAt;
    },
  };
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await child.exited;
  clearTimeout(late);
}

async function answers(child: Bun.Subprocess, socketPath: string): Promise<boolean> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline && child.exitCode === null) {
    const answer = await fetch("http://engine/_ping", {
      unix: socketPath,
      keepalive: false,
    }).catch(() => undefined);
    if (answer?.ok) return true;
    await Bun.sleep(POLL_MS);
  }
  return false;
}

/** Detaches every mount below `root`, the deepest first. */
export async function unmountUnder(root: string): Promise<void> {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const targets = lines.map((line) => line.split(" ")[1] ?? "");
  for (const target of targets.filter((target) => target.startsWith(`${root}/`)).reverse()) {
    await run(["umount", "-l", target]).catch(() => undefined); // gone with its parent
  }
}
