/** A dockerd of our own: its own roots, and a network namespace so that the host is not touched. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

export interface Dockerd {
  readonly socketPath: string;
  /** `20.10.24+dfsg1`, as the engine says it. */
  readonly version: string;
  stop(): Promise<void>;
}

/** Starts dockerd under `tmpdir()`; everything it made is gone after `stop`. */
export async function startDockerd(): Promise<Dockerd> {
  const root = mkdtempSync(join(tmpdir(), "docker-golden-"));
  const netns = `golden${randomBytes(3).toString("hex")}`;
  const socketPath = join(root, "s.sock");
  run("ip", "netns", "add", netns);
  run("ip", "-n", netns, "link", "set", "lo", "up");
  const log = openSync(join(root, "log"), "w");
  // `ip netns exec` would hide /sys/fs/cgroup behind a fresh /sys: enter the network only.
  const child = Bun.spawn(
    [
      ...["nsenter", `--net=/run/netns/${netns}`, "dockerd", "--data-root", join(root, "data")],
      ...[
        "--exec-root",
        join(root, "exec"),
        "--pidfile",
        join(root, "pid"),
        "-H",
        `unix://${socketPath}`,
      ],
    ],
    { stdin: "ignore", stdout: log, stderr: log },
  );
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(late);
    Bun.spawnSync(["ip", "netns", "del", netns]);
    for (const mount of mountsUnder(root)) Bun.spawnSync(["umount", "-l", mount]);
    rmSync(root, { recursive: true, force: true });
  };
  try {
    const version = await answering(socketPath, () => child.exitCode !== null, join(root, "log"));
    return { socketPath, version, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function answering(socketPath: string, dead: () => boolean, log: string): Promise<string> {
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS && !dead(); waitedMs += 100) {
    if (existsSync(socketPath)) {
      const answer = await fetch("http://docker/version", { unix: socketPath }).catch(
        () => undefined,
      );
      if (answer?.ok) return ((await answer.json()) as { Version: string }).Version;
    }
    await Bun.sleep(100);
  }
  throw new Error(`dockerd did not start: ${readFileSync(log, "utf8").slice(-2000)}`);
}

function mountsUnder(root: string): string[] {
  const lines = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const targets = lines.map((line) => line.split(" ")[1] ?? "");
  return targets.filter((target) => target.startsWith(`${root}/`)).reverse();
}

function run(...command: string[]): void {
  const done = Bun.spawnSync(command);
  if (!done.success) throw new Error(`${command.join(" ")}: ${done.stderr.toString()}`);
}
