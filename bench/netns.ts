/** A network namespace, so that an engine's bridges and rules never meet the host's. */
import { randomBytes } from "node:crypto";
import { run } from "./command.ts";

export interface Netns {
  readonly name: string;
  /** Put before a command line. `ip netns exec` would hide /sys/fs/cgroup. */
  readonly enter: readonly string[];
  close(): Promise<void>;
}

export async function openNetns(label: string): Promise<Netns> {
  const name = `bench-${label}-${randomBytes(3).toString("hex")}`;
  await run(["ip", "netns", "add", name]);
  await run(["ip", "-n", name, "link", "set", "lo", "up"]);
  return {
    name,
    enter: ["nsenter", `--net=/run/netns/${name}`],
    close: async () => {
      await run(["ip", "netns", "del", name]);
    },
  };
}
