import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { runOrThrow, runProgram } from "./program.ts";

/** Debian packages that the engine drives or needs. */
export const ENGINE_PACKAGES: readonly string[] = [
  "conmon", // one monitor per container
  "crun", // the OCI runtime
  "nftables",
  "iproute2",
  "busybox-static", // the first image
  "ca-certificates",
  "mount", // this set-up uses it; minimal images lack it
  "zstd",
];

/** What the tests drive besides. */
export const TEST_PACKAGES: readonly string[] = [
  "runc",
  "git",
  "tmux",
  "procps",
  "util-linux",
  "e2fsprogs",
  "curl", // clients of published ports, with the network namespace that they run in
  "socat",
  "python3-minimal",
];

/** What needs one of these is skipped where it is missing. */
export const OPTIONAL_TEST_PACKAGES: readonly string[] = [
  "docker-registry", // the foreign registry that images are pulled from and pushed to
  "skopeo", // the other client of it
  "docker-compose", // projects of several services, with python3-docker
  "docker.io", // the peer to compare with, and the stock client
  "qemu-system-x86", // cgroup v2 under Debian's kernel, test/vm
];

const APT_LIMIT_MS = 600_000; // docker.io with its dependencies over a slow mirror
const DPKG_LIMIT_MS = 30_000;
const POLICY = "/usr/sbin/policy-rc.d";
const POLICY_TEXT =
  "#!/bin/sh\n# Made by naru's set-up for the time of one apt-get run.\nexit 101\n";

/** Those of `packages` that dpkg does not have installed. */
export async function missingPackages(packages: readonly string[]): Promise<readonly string[]> {
  const query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n"] as const;
  const result = await runProgram([...query, ...packages], { limitMs: DPKG_LIMIT_MS });
  const lines = new Set(result.output.split("\n"));
  return packages.filter((name) => !lines.has(`${name} installed`));
}

/** Does this host have apt-get and dpkg? */
export function isDebian(): boolean {
  return existsSync("/usr/bin/apt-get") && existsSync("/usr/bin/dpkg-query");
}

/**
 * Installs with apt-get, which must run as root. No service is started by it: a dockerd that comes
 * up would write its rules into the host's firewall.
 */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const apt = (...args: readonly string[]): Promise<string> =>
    runOrThrow(["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", ...args], {
      limitMs: APT_LIMIT_MS,
      env: { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "l" },
    });
  const install = ["install", "--no-install-recommends", ...packages];
  await withoutServices(async () => {
    try {
      await apt(...install);
    } catch {
      await apt("update"); // no package lists yet, or old ones
      await apt(...install);
    }
  });
}

/** invoke-rc.d asks policy-rc.d before it starts anything: 101 forbids. */
async function withoutServices(action: () => Promise<void>): Promise<void> {
  const before = existsSync(POLICY) ? await readFile(POLICY) : undefined;
  if (before === undefined) await writeFile(POLICY, POLICY_TEXT, { mode: 0o755 });
  const running = existsSync("/run/systemd/system");
  if (running) await maskDocker("mask");
  try {
    await action();
  } finally {
    if (running) await maskDocker("unmask");
    if (before === undefined) await rm(POLICY, { force: true });
  }
}

/** Debian's docker.io is enabled for the next boot when it is installed: the mask is for that. */
async function maskDocker(verb: "mask" | "unmask"): Promise<void> {
  const missing = await missingPackages(["docker.io"]);
  if (verb === "mask" && missing.length === 0) return; // a docker in use is none of our business
  const units = ["docker.service", "docker.socket"] as const;
  await runProgram(["systemctl", "--runtime", verb, ...units], { limitMs: DPKG_LIMIT_MS });
}
