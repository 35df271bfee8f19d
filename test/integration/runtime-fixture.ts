import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { newId, systemClock } from "../../src/base/mod.ts";
import { silentLogger } from "../../src/observe/mod.ts";
import {
  buildRuntimeSpec,
  type ContainerMonitor,
  type ContainerPaths,
  type ContainerSpecInput,
  connectStdio,
  createContainerMonitor,
  DEFAULT_LOG_LIMITS,
  DEFAULT_SECCOMP_PROFILE,
  type HostFacts,
  type LogLimits,
  type MonitorHandle,
  type OutputStream,
  openContainerLog,
  type RuntimeChoice,
  readHostFacts,
  type SpooledLog,
  type StdinMode,
  type StdioClient,
  type StdioHub,
} from "../../src/runtime/mod.ts";
import { removeCgroups } from "../harness/cgroups.ts";

export const CRUN: RuntimeChoice = { name: "crun", path: "/usr/bin/crun", args: [] };
export const RUNC: RuntimeChoice = { name: "runc", path: "/usr/sbin/runc", args: [] };

export const host: HostFacts = readHostFacts();

const APPLETS =
  "sh true false cat echo sleep seq printf ls id env stty head yes dd kill mount umount unshare chroot mkdir hostname date wc tee test rm touch ps setsid ip sed tail".split(
    " ",
  );

/** One engine's worth of folders under /tmp, a root of busybox, and a monitor. */
export interface Bench {
  readonly dir: string;
  readonly rootfs: string;
  readonly monitor: ContainerMonitor;
  readonly cgroupParent: string;
  spec(args: readonly string[], changes?: Partial<ContainerSpecInput>): ContainerSpecInput;
  run(args: readonly string[], options?: RunOptions): Promise<Run>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly changes?: Partial<ContainerSpecInput>;
  readonly terminal?: boolean;
  readonly stdin?: StdinMode;
  readonly runtime?: RuntimeChoice;
  readonly limits?: LogLimits;
  /** In place of the bench's own. */
  readonly monitor?: ContainerMonitor;
  /** Before the start, when the hub is connected. */
  readonly before?: (run: Run) => void;
}

export interface Run {
  readonly id: string;
  readonly runtime: RuntimeChoice;
  readonly handle: MonitorHandle;
  readonly paths: ContainerPaths;
  readonly hub: StdioHub;
  readonly log: SpooledLog;
  readonly output: Collector;
  /** Waits for the end and removes what is left. */
  finish(): Promise<{ exitCode: number; monitorLost: boolean; oomKilled: boolean }>;
}

/** A client that keeps all it gets. */
export class Collector implements StdioClient {
  readonly stdout = true;
  readonly stderr = true;
  readonly pieces: Record<OutputStream, Uint8Array[]> = { stdout: [], stderr: [] };
  over = false;

  async write(stream: OutputStream, bytes: Uint8Array): Promise<void> {
    this.pieces[stream].push(bytes);
  }

  end(): void {
    this.over = true;
  }

  text(stream: OutputStream = "stdout"): string {
    return Buffer.concat(this.pieces[stream]).toString("utf8");
  }

  /** Resolves when `stdout` holds `wanted`; fails after ten seconds. */
  async until(wanted: string): Promise<void> {
    await eventually(() => this.text().includes(wanted), `output ${JSON.stringify(wanted)}`);
  }
}

export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited 10 s for ${what}`);
    await Bun.sleep(5);
  }
}

export async function openBench(options: { seccompCache?: boolean } = {}): Promise<Bench> {
  const dir = mkdtempSync("/tmp/naru-rt-");
  const rootfs = `${dir}/rootfs`;
  for (const name of ["bin", "proc", "sys", "dev", "tmp", "etc", "sbin", "adir"]) {
    mkdirSync(`${rootfs}/${name}`, { recursive: true });
  }
  copyFileSync("/bin/busybox", `${rootfs}/bin/busybox`);
  for (const applet of APPLETS) symlinkSync("busybox", `${rootfs}/bin/${applet}`);
  await Bun.write(`${rootfs}/noexec`, "text\n");
  const monitor = await openMonitor(dir, options);
  const cgroupParent = `/naru-test-${newId().slice(0, 8)}`;
  const spec = (args: readonly string[], changes: Partial<ContainerSpecInput> = {}) =>
    specInput(newId(), rootfs, cgroupParent, args, changes);
  const runs = new Set<Run>();
  const run = async (args: readonly string[], wanted: RunOptions = {}): Promise<Run> => {
    const started = await startRun({
      dir,
      monitor: wanted.monitor ?? monitor,
      input: spec(args, wanted.changes),
      wanted,
    });
    runs.add(started);
    return started;
  };
  return {
    dir,
    rootfs,
    monitor,
    cgroupParent,
    spec,
    run,
    close: async () => {
      for (const { id, runtime, hub } of runs) {
        hub.close();
        await monitor.delete(id, runtime);
      }
      await monitor.close();
      rmSync(dir, { recursive: true, force: true });
      removeCgroups(cgroupParent.slice(1));
    },
  };
}

export function openMonitor(
  dir: string,
  options: { seccompCache?: boolean } = {},
): Promise<ContainerMonitor> {
  return createContainerMonitor({
    runRoot: `${dir}/run`,
    dataRoot: `${dir}/data`,
    conmonPath: "/usr/bin/conmon",
    cgroupDriver: "cgroupfs",
    monitorCgroups: [],
    logger: silentLogger,
    seccompCache: options.seccompCache ?? true,
  });
}

function specInput(
  id: string,
  rootfs: string,
  cgroupParent: string,
  args: readonly string[],
  changes: Partial<ContainerSpecInput>,
): ContainerSpecInput {
  return {
    id,
    rootfsPath: rootfs,
    readonlyRootfs: false,
    args,
    env: [],
    cwd: "/",
    user: { uid: 0, gid: 0, additionalGids: [] },
    terminal: false,
    consoleSize: undefined,
    hostname: id.slice(0, 12),
    domainname: "",
    capAdd: [],
    capDrop: [],
    privileged: false,
    devices: [],
    deviceCgroupRules: [],
    mounts: [],
    shm: { kind: "tmpfs", sizeBytes: 64 << 20 },
    maskedPaths: undefined,
    readonlyPaths: undefined,
    namespaces: { pid: "own", network: "own", ipc: "own", uts: "own", cgroup: "own" },
    cgroup: { driver: "cgroupfs", parent: cgroupParent },
    resources: {},
    ulimits: [],
    sysctls: {},
    oomScoreAdj: 0,
    noNewPrivileges: false,
    seccomp: DEFAULT_SECCOMP_PROFILE,
    apparmorProfile: undefined,
    initPath: undefined,
    annotations: {},
    ...changes,
  };
}

async function startRun(given: {
  dir: string;
  monitor: ContainerMonitor;
  input: ContainerSpecInput;
  wanted: RunOptions;
}): Promise<Run> {
  const { dir, monitor, wanted } = given;
  const { id } = given.input;
  const terminal = wanted.terminal ?? false;
  const stdin = wanted.stdin ?? "closed";
  const runtime = wanted.runtime ?? CRUN;
  const { spec } = buildRuntimeSpec({ ...given.input, terminal }, host);
  const paths: ContainerPaths = {
    bundleDir: `${dir}/run/bundles/${id}`,
    persistDir: `${dir}/data/${id}/run-1`,
    logPath: `${dir}/data/${id}/container.log`,
  };
  mkdirSync(paths.bundleDir, { recursive: true });
  mkdirSync(`${dir}/data/${id}`, { recursive: true });
  const handle = await monitor.create({ id, name: id, runtime, spec, paths, terminal, stdin });
  const log = await openContainerLog(paths.logPath, wanted.limits ?? DEFAULT_LOG_LIMITS, {
    clock: systemClock,
    logger: silentLogger,
  });
  log.started();
  const hub = await connectStdio(paths.bundleDir, { terminal, stdin, log, logger: silentLogger });
  const output = new Collector();
  hub.attach(output);
  const run: Run = {
    id,
    runtime,
    handle,
    paths,
    hub,
    log,
    output,
    finish: async () => {
      const exit = await monitor.waitExit(id, handle, paths);
      await hub.ended;
      log.ended();
      await monitor.delete(id, runtime);
      return exit;
    },
  };
  wanted.before?.(run);
  await monitor.start(id, runtime);
  return run;
}
