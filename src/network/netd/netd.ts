import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { type Clock, errorMessage, systemClock } from "../../base/mod.ts";
import { HeldPorts } from "./held-ports.ts";
import { HeldNames } from "./names/held-names.ts";
import {
  LineReader,
  NETD_PROTOCOL,
  type NetdQuestion,
  type NetdRequest,
  type NetdResult,
  type NetdState,
} from "./protocol.ts";
import { socketPath } from "./socket-path.ts";
import { StateFile } from "./state-file.ts";

const IDLE_LIMIT_MS = 30_000; // memory that an engine without ports and names need not pay for

/**
 * `naru netd`: holds published ports and answers names for one engine, and goes on when that ends.
 * Ends by itself when there is nothing to do for it. The engine starts it; nobody else need.
 */
export async function runNetd(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      socket: { type: "string" },
      state: { type: "string" },
      "version-text": { type: "string", default: "" },
    },
  });
  if (values.socket === undefined || values.state === undefined) {
    process.stderr.write("naru netd: started by the engine; needs --socket and --state\n");
    return 2;
  }
  process.umask(0o077);
  const netd = new Netd({
    file: new StateFile(values.state, systemClock),
    clock: systemClock,
    version: values["version-text"],
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => netd.stop());
  await netd.restore();
  await netd.listen(values.socket);
  await netd.ended;
  return 0;
}

interface NetdOptions {
  readonly file: StateFile;
  readonly clock: Clock;
  /** Of the program, for the engine to compare. */
  readonly version: string;
}

class Netd {
  readonly #options: NetdOptions;
  readonly #ports: HeldPorts;
  readonly #names: HeldNames;
  readonly #ended: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #controllers: Set<Socket> = new Set();
  #server: Server | undefined;
  #path: string = "";
  #cancelIdle: () => void = () => undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NetdOptions) {
    this.#options = options;
    this.#ports = new HeldPorts(options.clock);
    this.#names = new HeldNames(options.clock);
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  async restore(): Promise<void> {
    const state = this.#options.file.read();
    await Promise.all([this.#ports.sync(state.ports), this.#names.sync(state.names)]);
  }

  listen(path: string): Promise<void> {
    this.#path = path;
    rmSync(path, { force: true }); // of a killed one: the engine has tried it before it started us
    const server = createServer((socket) => this.#control(socket));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(socketPath(path), () => {
        chmodSync(path, 0o600);
        this.#watchIdle();
        resolve();
      });
    });
  }

  stop(): void {
    this.#options.file.flush();
    this.#server?.close();
    // What is open keeps a process.
    this.#cancelIdle();
    for (const socket of this.#controllers) socket.destroy();
    void this.#ports.sync([]);
    void this.#names.sync([]);
    this.#ended.resolve();
  }

  #control(socket: Socket): void {
    const lines = new LineReader();
    this.#controllers.add(socket);
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const line of lines.push(chunk)) this.#queue(socket, line);
      } catch {
        socket.destroy();
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#controllers.delete(socket);
      this.#watchIdle();
    });
  }

  /** One after the other, whoever asks; names aside, each of which waits for a program of its own. */
  #queue(socket: Socket, line: string): void {
    let question: NetdQuestion;
    try {
      question = JSON.parse(line) as NetdQuestion;
    } catch {
      socket.destroy(); // no JSON: not an engine of ours
      return;
    }
    const before = this.#last;
    const answered = before.then(async () => {
      const result = await this.#answer(question).catch(
        (error: unknown): NetdResult => ({ kind: "failed", message: errorMessage(error) }),
      );
      socket.write(`${JSON.stringify({ id: question.id, ...result })}\n`);
      if (question.op === "stop") socket.end(() => this.stop());
    });
    const settled = answered.catch(() => socket.destroy());
    if (question.op !== "names") this.#last = settled;
  }

  async #answer(request: NetdRequest): Promise<NetdResult> {
    const { version } = this.#options;
    if (request.op === "hello") {
      return { kind: "hello", protocol: NETD_PROTOCOL, version, pid: process.pid };
    }
    const failures = await this.#change(request);
    this.#options.file.write(() => this.#state());
    this.#watchIdle();
    return failures.length === 0 ? { kind: "done" } : { kind: "not_held", failures };
  }

  async #change(request: Exclude<NetdRequest, { op: "hello" }>): ReturnType<HeldPorts["set"]> {
    switch (request.op) {
      case "sync":
        await this.#names.sync(request.state.names);
        return this.#ports.sync(request.state.ports);
      case "ports":
        return this.#ports.set(request);
      case "forget":
        if (request.what === "ports") this.#ports.drop(request.containerId);
        else await this.#names.drop(request.containerId);
        return [];
      case "names":
        await this.#names.set(request.records);
        return [];
      case "stop":
        return [];
    }
  }

  #state(): NetdState {
    return { ports: this.#ports.state(), names: this.#names.state() };
  }

  /** With nothing to do it ends: at once without an engine, after a while beside one. */
  #watchIdle(): void {
    this.#cancelIdle();
    if (!this.#isIdle) return;
    if (this.#controllers.size === 0 && this.#path !== "") {
      // The engine that started it is about to connect.
      this.#cancelIdle = this.#options.clock.after(CONNECT_LIMIT_MS, () => this.#stopIfIdle());
      return;
    }
    this.#cancelIdle = this.#options.clock.after(IDLE_LIMIT_MS, () => this.#stopIfIdle());
  }

  #stopIfIdle(): void {
    if (this.#isIdle) this.stop();
  }

  get #isIdle(): boolean {
    return this.#ports.size + this.#names.size === 0;
  }
}

const CONNECT_LIMIT_MS = 1_000; // it tries every few milliseconds
