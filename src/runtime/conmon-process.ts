import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { errorMessage, NaruError } from "../base/mod.ts";
import {
  type Channel,
  close,
  openChannel,
  type Pipe,
  pipe2,
  processStatus,
  writeAll,
} from "../linux/mod.ts";
import { MINIMAL_ENVIRONMENT } from "./crun.ts";

/** What of conmon's stderr is kept for the message when it dies without an answer. */
const CONMON_TEXT_BYTES_MAX = 16 * 1024;

/** One line of the sync or attach pipe. @see conmon 2.1 src/utils.c write_sync_fd */
export interface ConmonAnswer {
  readonly data: number;
  readonly message: string;
}

/** A conmon that was started and waits at its start pipe. */
export interface ConmonProcess {
  /** The first of its processes; ends at once, the monitor goes on as nobody's child. */
  readonly pid: number;
  /** Resolves when that first process has ended: conmon.pid, which it writes last, is then there. */
  readonly launched: Promise<void>;
  /** Lets it go on: once for a container, twice for an attached exec. */
  go(options: { readonly last: boolean }): void;
  /** Closes the start pipe; a conmon that still waits there goes on and ends. Idempotent. */
  release(): void;
  /** The next answer on the sync pipe. Throws internal with conmon's own words when it died. */
  answer(): Promise<ConmonAnswer>;
  /** The answer on the attach pipe: the attach socket is there. */
  attachable(): Promise<ConmonAnswer>;
  /** Resolves when conmon has closed its sync pipe, which it does by ending. */
  ended(): Promise<void>;
  close(): void;
}

export async function spawnConmon(
  conmonPath: string,
  args: readonly string[],
  options: {
    readonly attachPipe: boolean;
    /** conmon leaves an empty `oom` file where it was started: give it a folder of its own. */
    readonly cwd: string;
  },
): Promise<ConmonProcess> {
  const opened: { close(): void }[] = [];
  try {
    const channels: Channel[] = [];
    for (let count = options.attachPipe ? 3 : 2; count > 0; count -= 1) {
      const channel = await openChannel();
      channels.push(channel);
      opened.push(channel);
    }
    const [stderr, sync, attach] = channels as [Channel, Channel, Channel | undefined];
    const start = pipe2();
    opened.push({ close: () => closePipe(start) });
    const child = Bun.spawn([conmonPath, ...args], {
      cwd: options.cwd,
      stdio: [
        "ignore",
        "ignore",
        stderr.childFd,
        start.readFd,
        sync.childFd,
        ...(attach === undefined ? [] : [attach.childFd]),
      ],
      env: {
        ...MINIMAL_ENVIRONMENT,
        _OCI_STARTPIPE: "3",
        _OCI_SYNCPIPE: "4",
        ...(attach === undefined ? {} : { _OCI_ATTACHPIPE: "5" }),
      },
    });
    for (const channel of channels) channel.closeChild();
    close(start.readFd);
    opened.pop();
    return new StartedConmon(child, start.writeFd, stderr, sync, attach);
  } catch (cause) {
    for (const item of opened) item.close();
    throw new NaruError(
      "internal",
      `cannot run ${conmonPath}: ${errorMessage(cause)}`,
      {},
      { cause },
    );
  }
}

class StartedConmon implements ConmonProcess {
  readonly pid: number;
  readonly launched: Promise<void>;
  #startFd: number | undefined;
  readonly #stderr: Channel;
  readonly #sync: Channel;
  readonly #attach: Channel | undefined;

  constructor(
    child: { readonly pid: number; readonly exited: Promise<number> },
    startFd: number,
    stderr: Channel,
    sync: Channel,
    attach: Channel | undefined,
  ) {
    this.pid = child.pid;
    this.launched = child.exited.then(() => undefined);
    this.#startFd = startFd;
    this.#stderr = stderr;
    this.#sync = sync;
    this.#attach = attach;
  }

  go(options: { readonly last: boolean }): void {
    if (this.#startFd === undefined) return;
    writeAll(this.#startFd, Uint8Array.of(0));
    if (options.last) this.#closeStart();
  }

  release(): void {
    this.#closeStart();
  }

  answer(): Promise<ConmonAnswer> {
    return this.#read(this.#sync);
  }

  attachable(): Promise<ConmonAnswer> {
    if (this.#attach === undefined) throw new NaruError("internal", "conmon has no attach pipe");
    return this.#read(this.#attach);
  }

  async ended(): Promise<void> {
    await this.#sync.readAll(CONMON_TEXT_BYTES_MAX);
  }

  async #read(channel: Channel): Promise<ConmonAnswer> {
    const line = await channel.readLine();
    if (line === undefined) {
      const text = await this.#stderr.readAll(CONMON_TEXT_BYTES_MAX);
      throw new NaruError("internal", `conmon ended without an answer: ${text.trim()}`);
    }
    return parseAnswer(line);
  }

  #closeStart(): void {
    if (this.#startFd === undefined) return;
    close(this.#startFd);
    this.#startFd = undefined;
  }

  close(): void {
    this.#closeStart();
    this.#stderr.close();
    this.#sync.close();
    this.#attach?.close();
  }
}

/** `{"data": 1234}` or `{"data": -1, "message": "…"}`; anything else is internal. */
export function parseAnswer(line: string): ConmonAnswer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (
    typeof value !== "object" ||
    value === null ||
    !("data" in value) ||
    typeof value.data !== "number"
  ) {
    throw new NaruError("internal", `conmon answered ${line.slice(0, 200)}`);
  }
  const message = "message" in value && typeof value.message === "string" ? value.message : "";
  return { data: value.data, message };
}

/** A process by number and start time. Undefined when it has ended. */
export function identifyProcess(pid: number): { pid: number; startTime: string } | undefined {
  const status = processStatus(pid);
  return status === undefined ? undefined : { pid, startTime: String(status.startTime) };
}

/** The number in a pid file, or undefined while there is none. */
export function readPidFile(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, "latin1"), 10);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Puts a process into a cgroup of its own, so that a stop of the engine's unit spares it. */
export function moveToCgroup(directories: readonly string[], pid: number): void {
  for (const directory of directories) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/cgroup.procs`, String(pid));
  }
}

function closePipe(pipe: Pipe): void {
  close(pipe.readFd);
  close(pipe.writeFd);
}
