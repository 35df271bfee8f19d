/** naru, from `dist/naru`, by its own client and by the stock docker client. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { run, textOf } from "./command.ts";
import type { Contender, Place, Running } from "./contender.ts";
import { startDaemon } from "./daemon.ts";
import { stockCli } from "./docker.ts";
import { openNetns } from "./netns.ts";

const BINARY = join(import.meta.dir, "../dist/naru");
const BRIDGE = "narubench0";
const BRIDGE_ADDRESS = "172.31.200.1/22"; // a /22: 500 containers and their quarantine fit

export const NARU: Contender = {
  name: "naru",
  version() {
    if (!existsSync(BINARY)) return { missing: "dist/naru is not built (npm run build)" };
    return { text: textOf(BINARY, "--version") ?? "dist/naru" };
  },
  async start(place: Place): Promise<Running> {
    mkdirSync(place.root, { recursive: true });
    const netns = await openNetns("naru");
    const socketPath = join(place.root, "s.sock");
    const host = ["--host", `unix://${socketPath}`];
    const roots = ["--data-root", place.dataRoot, "--exec-root", join(place.root, "exec")];
    const bridge = ["--bridge", BRIDGE, "--bip", BRIDGE_ADDRESS];
    const daemon = await startDaemon(
      [BINARY, "daemon", ...roots, "--pidfile", join(place.root, "pid"), ...host, ...bridge],
      { root: place.root, socketPath, netns },
    );
    const own = { name: "naru", argv: [BINARY, ...host], env: {} };
    const cli = stockCli();
    const stock = {
      name: "docker CLI on naru",
      argv: [cli ?? "docker", "-H", `unix://${socketPath}`],
      env: {},
    };
    return {
      socketPath,
      clients: cli === undefined ? [own] : [own, stock],
      enter: netns.enter,
      settle: async () => {
        // It throws when something was left behind: a figure made by leaking does not count.
        await run([...netns.enter, BINARY, "system", "check", "--wait", ...roots]);
      },
      restart: () => daemon.restart(),
      stop: () => daemon.stop(),
    };
  },
};
