import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { DOCKER } from "../../bench/docker.ts";

export interface Dockerd {
  /** As DOCKER_HOST. */
  readonly host: string;
  close(): Promise<void>;
}

/** Why no dockerd can be started here, or undefined. */
export function dockerdLacks(): string | undefined {
  if (process.getuid?.() !== 0) return "must be root";
  const found = DOCKER.version();
  return "missing" in found ? found.missing : undefined;
}

/** Debian's dockerd with roots and a network namespace of its own, to be compared with. */
export async function startDockerd(): Promise<Dockerd> {
  const root = await mkdtemp("/tmp/naru-dockerd-");
  try {
    const running = await DOCKER.start({ root, dataRoot: join(root, "data") });
    return {
      host: `unix://${running.socketPath}`,
      async close() {
        await running.stop();
        await rm(root, { recursive: true, force: true });
      },
    };
  } catch (error) {
    const log = join(root, "log");
    const text = existsSync(log) ? readFileSync(log, "utf8").slice(-2000) : "";
    await rm(root, { recursive: true, force: true });
    throw new Error(`dockerd did not start: ${text}`, { cause: error });
  }
}
