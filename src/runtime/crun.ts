import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { errorCode, errorMessage, NaruError } from "../base/mod.ts";
import {
  close,
  isAlive,
  O_NONBLOCK,
  O_WRONLY,
  open,
  openChannel,
  pidfdOpen,
  pidfdSendSignal,
  write,
} from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import type { RuntimeChoice } from "./contract.ts";
import { readonlyProgram, removeReadonlyProgram } from "./runtime-binary.ts";

/** Longest text kept of what a runtime says. */
const RUNTIME_TEXT_BYTES_MAX = 256 * 1024;
/** A runtime command takes milliseconds; a stuck one must not hold a container's queue for ever. */
const RUNTIME_COMMAND_MS_MAX = 60_000;

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the runtime's own commands under this engine's root. */
export class RuntimeCommands {
  readonly #rootDir: string;
  readonly #systemdCgroup: boolean;
  /** Paths of runtimes by what `--version` says, asked once. */
  readonly #kinds: Map<string, Promise<RuntimeIdentity>> = new Map();

  readonly #programsDir: string;
  readonly #logger: Logger;

  constructor(options: {
    /** Beneath it: state folders, and read-only mounts of the runtimes' programs. */
    readonly runRoot: string;
    readonly systemdCgroup: boolean;
    readonly logger: Logger;
  }) {
    this.#rootDir = `${options.runRoot}/runtimes`;
    this.#programsDir = `${options.runRoot}/programs`;
    this.#systemdCgroup = options.systemdCgroup;
    this.#logger = options.logger;
  }

  /** Takes the read-only mounts away, also those of a killed engine; the next makes its own. */
  close(): void {
    if (!existsSync(this.#programsDir)) return;
    for (const name of readdirSync(this.#programsDir)) {
      removeReadonlyProgram(`${this.#programsDir}/${name}`);
    }
  }

  /** The runtime's state folder: one per runtime, since their formats differ. */
  rootDir(runtime: RuntimeChoice): string {
    return `${this.#rootDir}/${runtime.name.replaceAll(/[^\w.-]/g, "_")}`;
  }

  /** Global arguments, as conmon passes them on too. */
  globalArguments(runtime: RuntimeChoice): string[] {
    const systemd = this.#systemdCgroup ? ["--systemd-cgroup"] : [];
    return [`--root=${this.rootDir(runtime)}`, ...systemd, ...runtime.args];
  }

  async run(runtime: RuntimeChoice, args: readonly string[]): Promise<CommandResult> {
    const { program } = await this.identify(runtime);
    return await runCommand([program, ...this.globalArguments(runtime), ...args]);
  }

  /** Which program it is; crun's state files may be used directly, others' not. */
  async identify(runtime: RuntimeChoice): Promise<RuntimeIdentity> {
    let known = this.#kinds.get(runtime.path);
    if (known === undefined) {
      known = identify(runtime).then((identity) => this.#withProgram(runtime, identity));
      this.#kinds.set(runtime.path, known);
      known.catch(() => this.#kinds.delete(runtime.path));
    }
    return await known;
  }

  /** crun and runc run from a read-only mount: then they need not copy themselves each time. */
  #withProgram(runtime: RuntimeChoice, identity: RuntimeIdentity): RuntimeIdentity {
    if (identity.kind === "other") return identity;
    const target = `${this.#programsDir}/${runtime.path.replaceAll(/[^\w.-]/g, "_")}`;
    const program = readonlyProgram(runtime.path, target, this.#logger);
    return { ...identity, program };
  }

  /**
   * Lets a created container run. `crun start` opens exec.fifo, unlinks it and writes one byte
   * (crun 1.8: libcrun_status_write_exec_fifo); doing that here saves a process, 4 ms.
   */
  async start(id: string, runtime: RuntimeChoice): Promise<CommandResult> {
    const { kind } = await this.identify(runtime);
    if (kind === "crun" && this.#openGate(id, runtime)) {
      return { exitCode: 0, stdout: "", stderr: "" };
    }
    return await this.run(runtime, ["start", id]);
  }

  /** False: not the layout that is known, so crun itself must do it. */
  #openGate(id: string, runtime: RuntimeChoice): boolean {
    const fifo = `${this.rootDir(runtime)}/${id}/exec.fifo`;
    let fd: number | undefined;
    try {
      if (!lstatSync(fifo).isFIFO()) return false;
      // ENXIO: nobody waits at the other end, so the container has died.
      fd = open(fifo, O_WRONLY | O_NONBLOCK);
      unlinkSync(fifo);
      return write(fd, Uint8Array.of(0)) === 1;
    } catch {
      return false;
    } finally {
      if (fd !== undefined) close(fd);
    }
  }

  /**
   * A signal to the container's first process without a `crun kill` (5 ms): the state file names it
   * and its start time. `unknown`: not crun, or its file is not as known.
   */
  async signalInit(
    id: string,
    runtime: RuntimeChoice,
    signal: number,
  ): Promise<"sent" | "gone" | "unknown"> {
    const { kind } = await this.identify(runtime);
    if (kind !== "crun") return "unknown";
    const init = this.#initProcess(id, runtime);
    if (init === undefined) return "unknown";
    const pidFd = pidfdOpen(init.pid);
    if (pidFd === undefined) return "gone";
    try {
      if (!isAlive(init.pid, init.startTime)) return "gone";
      return pidfdSendSignal(pidFd, signal) ? "sent" : "gone";
    } finally {
      close(pidFd);
    }
  }

  #initProcess(id: string, runtime: RuntimeChoice): { pid: number; startTime: number } | undefined {
    try {
      const text = readFileSync(`${this.rootDir(runtime)}/${id}/status`, "utf8");
      const status = JSON.parse(text) as Record<string, unknown>;
      const pid = status["pid"];
      const startTime = status["process-start-time"];
      return typeof pid === "number" && typeof startTime === "number" && pid > 1
        ? { pid, startTime }
        : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Removes what an ended container left: its cgroups and state folder. For crun with cgroupfs this
   * is done here (4 ms less than `crun delete`); when anything is not as known, by the runtime.
   */
  async delete(id: string, runtime: RuntimeChoice): Promise<void> {
    const { kind } = await this.identify(runtime);
    if (kind === "crun" && !this.#systemdCgroup && this.#sweep(id, runtime)) return;
    const result = await this.run(runtime, ["delete", "--force", id]);
    if (result.exitCode === 0 || isUnknownContainer(result.stderr)) return;
    throw new NaruError("internal", `${runtime.name} delete failed: ${result.stderr.trim()}`, {
      id,
    });
  }

  /** True when nothing is left. Never kills: a cgroup with processes is EBUSY and left to crun. */
  #sweep(id: string, runtime: RuntimeChoice): boolean {
    const folder = `${this.rootDir(runtime)}/${id}`;
    try {
      const status: unknown = JSON.parse(readFileSync(`${folder}/status`, "utf8"));
      if (typeof status !== "object" || status === null) return false;
      const path = "cgroup-path" in status ? status["cgroup-path"] : undefined;
      const pid = "pid" in status ? status.pid : undefined;
      if (typeof path !== "string" || !path.endsWith(`/${id}`) || typeof pid !== "number") {
        return false;
      }
      if (path.split("/").includes("..")) return false;
      for (const root of cgroupRoots()) removeCgroup(`${root}${path}`);
      rmSync(folder, { recursive: true, force: true });
      return true;
    } catch (error) {
      // No state at all: the runtime has never heard of it, or has deleted it.
      return errorCode(error) === "ENOENT" && !existsFolder(folder);
    }
  }

  async state(
    id: string,
    runtime: RuntimeChoice,
  ): Promise<{ status: string; pid: number } | undefined> {
    const result = await this.run(runtime, ["state", id]);
    if (result.exitCode !== 0) {
      if (isUnknownContainer(result.stderr)) return undefined;
      throw new NaruError("internal", `${runtime.name} state failed: ${result.stderr.trim()}`, {
        id,
      });
    }
    const state: unknown = JSON.parse(result.stdout);
    if (
      typeof state !== "object" ||
      state === null ||
      !("status" in state) ||
      typeof state.status !== "string"
    ) {
      throw new NaruError("internal", `${runtime.name} state gave no status`, { id });
    }
    const pid = "pid" in state && typeof state.pid === "number" ? state.pid : 0;
    return { status: state.status, pid };
  }

  /** Ids that the runtime keeps state of. Its root is ours alone, so its folders are the list. */
  list(runtime: RuntimeChoice): string[] {
    try {
      return readdirSync(this.rootDir(runtime), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return [];
      throw error;
    }
  }
}

export interface RuntimeIdentity {
  readonly kind: "crun" | "runc" | "other";
  /** The whole text of `--version`. */
  readonly version: string;
  /** What to run: the runtime's path, or a read-only mount of it. */
  readonly program: string;
}

async function identify(runtime: RuntimeChoice): Promise<RuntimeIdentity> {
  const { exitCode, stdout } = await runCommand([runtime.path, "--version"]);
  if (exitCode !== 0) return { kind: "other", version: "", program: runtime.path };
  const kind = stdout.startsWith("crun version ")
    ? "crun"
    : stdout.startsWith("runc version ")
      ? "runc"
      : "other";
  return { kind, version: stdout.trim(), program: runtime.path };
}

/** Runs a program to its end. Throws invalid_argument when it cannot be run at all. */
export async function runCommand(command: readonly string[]): Promise<CommandResult> {
  const stdout = await openChannel();
  const stderr = await openChannel();
  try {
    const child = Bun.spawn([...command], {
      stdio: ["ignore", stdout.childFd, stderr.childFd],
      env: MINIMAL_ENVIRONMENT,
      timeout: RUNTIME_COMMAND_MS_MAX,
      killSignal: "SIGKILL",
    });
    stdout.closeChild();
    stderr.closeChild();
    const exitCode = await child.exited;
    const [out, err] = await Promise.all([
      stdout.readAll(RUNTIME_TEXT_BYTES_MAX),
      stderr.readAll(RUNTIME_TEXT_BYTES_MAX),
    ]);
    return { exitCode, stdout: out, stderr: err };
  } catch (cause) {
    throw new NaruError(
      "invalid_argument",
      `cannot run ${command[0]}: ${errorMessage(cause)}`,
      {},
      { cause },
    );
  } finally {
    stdout.close();
    stderr.close();
  }
}

/** What the runtime and conmon get of the environment: enough to find programs and the bus. */
export const MINIMAL_ENVIRONMENT: Record<string, string> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
  ...Object.fromEntries(
    ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TZ"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  ),
};

function isUnknownContainer(stderr: string): boolean {
  return /does not exist|No such file or directory/i.test(stderr);
}

let roots: string[] | undefined;

/** Mount points of every cgroup hierarchy, in the order that crun empties them. */
function cgroupRoots(): string[] {
  if (roots !== undefined) return roots;
  roots = [];
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, target = "", type] = line.split(" ");
    if ((type === "cgroup" || type === "cgroup2") && target.startsWith("/sys/fs/cgroup")) {
      roots.push(target);
    }
  }
  return roots;
}

/** rmdir of a cgroup and those that the container made in it; ENOENT is done already. */
function removeCgroup(path: string): void {
  try {
    rmdirSync(path);
    return;
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return;
    if (code !== "EBUSY") throw error;
  }
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(`${path}/${entry.name}`);
  }
  rmdirSync(path);
}

function existsFolder(path: string): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}
