/** Podman has no daemon: every command does the work itself. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, textOf } from "./command.ts";
import type { Contender, Place, Running } from "./contender.ts";
import { unmountUnder } from "./daemon.ts";
import { openNetns } from "./netns.ts";

const LIMIT = 1024; // what a container needs here is next to nothing

export const PODMAN: Contender = {
  name: "podman",
  version() {
    const text = textOf("podman", "--version");
    return text === undefined ? { missing: "podman is not installed" } : { text };
  },
  async start(place: Place): Promise<Running> {
    mkdirSync(place.root, { recursive: true });
    const netns = await openNetns("podman");
    const configFile = join(place.root, "containers.conf");
    // Its default limits are above what a host without CAP_SYS_RESOURCE may set.
    writeFileSync(configFile, `[containers]\ndefault_ulimits = [${ulimits().join(", ")}]\n`);
    // Its temporary copies belong where its data is: on the tmpfs when that is measured.
    const temporary = `${place.dataRoot}-temporary`;
    mkdirSync(temporary, { recursive: true });
    const env = { CONTAINERS_CONF: configFile, TMPDIR: temporary };
    const argv = [
      ...[...netns.enter, "podman", "--root", place.dataRoot, "--runroot", join(place.root, "run")],
      ...["--tmpdir", join(place.root, "tmp"), "--network-config-dir", join(place.root, "net")],
      ...(textOf("systemctl", "is-system-running") === undefined
        ? ["--cgroup-manager", "cgroupfs"]
        : []),
    ];
    return {
      clients: [{ name: "podman", argv, env }],
      enter: netns.enter,
      settle: async () => {},
      stop: async () => {
        await run([...argv, "rm", "-af", "-t", "0"], env).catch(() => undefined);
        await unmountUnder(place.root);
        await unmountUnder(place.dataRoot);
        await netns.close();
      },
    };
  },
};

/** Below this process's own hard limits, and low enough for what Podman leaves of them. */
function ulimits(): string[] {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? LIMIT);
  return ["nofile", "nproc"].map(
    (name) => `"${name}=${Math.min(hard, LIMIT)}:${Math.min(hard, LIMIT)}"`,
  );
}
