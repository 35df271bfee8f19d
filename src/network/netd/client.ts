import { spawn } from "node:child_process";
import { closeSync, openSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { type Clock, NaruError } from "../../base/mod.ts";
import type { Logger } from "../../observe/mod.ts";
import {
  LineReader,
  NETD_PROTOCOL,
  type NetdAnswer,
  type NetdRequest,
  type NetdResult,
  type NetdState,
} from "./protocol.ts";

import { socketPath } from "./socket-path.ts";

export interface NetdClientOptions {
  /** How to start it: this program, to which its mode and flags are added. */
  readonly command: readonly string[];
  readonly socketPath: string;
  readonly statePath: string;
  readonly logPath: string;
  /** Of this program: a netd of another one is replaced. */
  readonly version: string;
  /** What netd must know, when it was started anew. */
  readonly state: () => NetdState;
  readonly clock: Clock;
  readonly logger: Logger;
}

const START_LIMIT_MS = 10_000; // tens of milliseconds on an idle machine
const POLL_MS = 3;
const ANSWER_LIMIT_MS = 15_000; // 10,000 ports take about one second
const AGAIN_MS = 200; // between tries to bring back one that died
const AGAIN_MAX_MS = 10_000;

interface Link {
  readonly socket: Socket;
  readonly waiting: Map<number, PromiseWithResolvers<NetdResult>>;
}

/**
 * The engine's side of netd: starts it when it is first needed, and again with all that it must
 * know when it has died. Calls wait for that.
 */
export class NetdClient {
  readonly #options: NetdClientOptions;
  #link: Promise<Link> | undefined;
  #lastId = 0;
  #closed = false;
  #cancelAgain: () => void = () => undefined;

  constructor(options: NetdClientOptions) {
    this.#options = options;
  }

  /** Throws unavailable when netd cannot be brought to answer. */
  async ask(request: NetdRequest): Promise<NetdResult> {
    const link = await this.#connected();
    const result = await this.#send(link, request);
    if (result.kind !== "failed") return result;
    throw new NaruError("internal", `netd: ${result.message}`, { op: request.op });
  }

  /** At engine start: one that outlived the former engine, or one that is needed now, is told all. */
  async resume(): Promise<void> {
    const { state, socketPath } = this.#options;
    const { ports, names } = state();
    if (ports.length + names.length > 0) {
      await this.#connected();
      return;
    }
    const left = await tryConnect(socketPath);
    if (left === undefined) return;
    this.#link = this.#adopt(left);
    await this.#link;
  }

  /** Leaves netd to itself. */
  close(): void {
    this.#closed = true;
    this.#cancelAgain();
    void this.#link?.then(({ socket }) => socket.destroy()).catch(() => undefined);
  }

  #connected(): Promise<Link> {
    if (this.#closed) {
      return Promise.reject(new NaruError("unavailable", "the engine stops"));
    }
    if (this.#link === undefined) {
      const link = this.#open();
      this.#link = link;
      link.catch(() => {
        if (this.#link === link) this.#link = undefined;
      });
    }
    return this.#link;
  }

  async #open(): Promise<Link> {
    const { socketPath } = this.#options;
    const there = await tryConnect(socketPath);
    return await this.#adopt(there ?? (await this.#start()));
  }

  /** A netd that answers becomes ours: of the right version, and told what there is. */
  async #adopt(socket: Socket): Promise<Link> {
    let link = this.#attach(socket);
    const hello = await this.#send(link, { op: "hello" });
    const fits =
      hello.kind === "hello" &&
      hello.protocol === NETD_PROTOCOL &&
      hello.version === this.#options.version;
    if (!fits) {
      this.#options.logger.info("replacing netd by the one of this version");
      await this.#send(link, { op: "stop" }).catch(() => undefined);
      rmSync(this.#options.socketPath, { force: true });
      link = this.#attach(await this.#start());
    }
    const result = await this.#send(link, { op: "sync", state: this.#options.state() });
    if (result.kind === "not_held") {
      this.#options.logger.warn("ports were taken by others while nobody held them", {
        ports: result.failures.map(({ address, port }) => `${address}:${port}`).join(" "),
      });
    }
    return link;
  }

  async #start(): Promise<Socket> {
    const { command, socketPath, statePath, logPath, version, clock } = this.#options;
    const [program = "", ...before] = command;
    const log = openSync(logPath, "a", 0o640);
    const args = ["netd", "--socket", socketPath, "--state", statePath, "--version-text", version];
    try {
      // A session of its own, and none of our pipes: it outlives us.
      const child = spawn(program, [...before, ...args], {
        detached: true,
        stdio: ["ignore", log, log],
        cwd: "/",
        env: { ...process.env, NOTIFY_SOCKET: undefined },
      });
      child.on("error", () => undefined); // seen as a socket that never comes
      child.unref();
    } finally {
      closeSync(log);
    }
    const endMs = clock.nowMs() + START_LIMIT_MS;
    while (clock.nowMs() < endMs) {
      const socket = await tryConnect(socketPath);
      if (socket !== undefined) return socket;
      await Bun.sleep(POLL_MS);
    }
    throw new NaruError("unavailable", `netd did not start: read ${logPath}`);
  }

  #attach(socket: Socket): Link {
    const link: Link = { socket, waiting: new Map() };
    const lines = new LineReader();
    socket.unref();
    socket.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const { id, ...result } = JSON.parse(line) as NetdAnswer;
        link.waiting.get(id)?.resolve(result);
        link.waiting.delete(id);
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      for (const waiting of link.waiting.values()) {
        waiting.reject(new NaruError("unavailable", "netd ended"));
      }
      link.waiting.clear();
      this.#lost(link);
    });
    return link;
  }

  #send(link: Link, request: NetdRequest): Promise<NetdResult> {
    this.#lastId += 1;
    const id = this.#lastId;
    const waiting = Promise.withResolvers<NetdResult>();
    link.waiting.set(id, waiting);
    const cancel = this.#options.clock.after(ANSWER_LIMIT_MS, () => {
      waiting.reject(new NaruError("unavailable", "netd does not answer"));
      link.socket.destroy();
    });
    void waiting.promise.then(cancel, cancel);
    link.socket.write(`${JSON.stringify({ id, ...request })}\n`);
    return waiting.promise;
  }

  #lost(link: Link): void {
    const current = this.#link;
    void current?.then(
      (known) => {
        if (known !== link || this.#link !== current) return;
        this.#link = undefined;
        this.#bringBack(AGAIN_MS);
      },
      () => undefined,
    );
  }

  /** Somebody killed it: ports are to be held and names answered all the same. */
  #bringBack(delayMs: number): void {
    const { ports, names } = this.#options.state();
    if (this.#closed || ports.length + names.length === 0) return;
    this.#options.logger.warn("netd ended, starting it again");
    void this.#connected().catch((error: unknown) => {
      this.#options.logger.error("netd does not come back", { error });
      const nextMs = Math.min(delayMs * 2, AGAIN_MAX_MS);
      this.#cancelAgain = this.#options.clock.after(delayMs, () => this.#bringBack(nextMs));
    });
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(path));
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });
}
