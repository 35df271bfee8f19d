/** dockerd with containerd, as Debian ships it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { textOf } from "./command.ts";
import type { Contender, Place, Running } from "./contender.ts";
import { startDaemon } from "./daemon.ts";
import { openNetns } from "./netns.ts";

export const DOCKER: Contender = {
  name: "docker",
  version() {
    const text = textOf("dockerd", "--version");
    if (text === undefined)
      return { missing: "dockerd is not installed (Debian package docker.io)" };
    if (stockCli() === undefined) return { missing: "there is no docker CLI" };
    return { text: `${text}; ${textOf(stockCli() ?? "docker", "--version")}` };
  },
  async start(place: Place): Promise<Running> {
    mkdirSync(place.root, { recursive: true });
    const netns = await openNetns("docker");
    const socketPath = join(place.root, "s.sock");
    const roots = ["--data-root", place.dataRoot, "--exec-root", join(place.root, "exec")];
    const daemon = await startDaemon(
      ["dockerd", ...roots, "--pidfile", join(place.root, "pid"), "-H", `unix://${socketPath}`],
      { root: place.root, socketPath, netns },
    );
    return {
      socketPath,
      clients: [
        { name: "docker", argv: [stockCli() ?? "docker", "-H", `unix://${socketPath}`], env: {} },
      ],
      enter: netns.enter,
      settle: async () => {}, // dockerd cleans up before it answers
      restart: () => daemon.restart(),
      stop: () => daemon.stop(),
    };
  },
};

/** The stock client; the newest one when there are several. */
export function stockCli(): string | undefined {
  return Bun.which("docker") ?? undefined;
}
