import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";

/** What goes wrong with one answer. Bytes are of the body. */
export type Fault =
  | { readonly kind: "delay"; readonly ms: number }
  /** The connection is cut after so many bytes. */
  | { readonly kind: "reset"; readonly afterBytes: number }
  /** The server is not asked. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterSeconds?: number }
  | { readonly kind: "corrupt"; readonly atByte: number }
  /** Nothing more comes, and the connection stays, until the fault is cleared. */
  | { readonly kind: "stall"; readonly afterBytes: number };

export interface FaultRule {
  readonly method?: string;
  readonly path: RegExp;
  readonly fault: Fault;
  /** How often; for ever when absent. */
  readonly times?: number;
}

/** One request that came by. */
export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What the client was answered. */
  status: number;
  /** Of the answer's body, as sent on to the client. */
  bytes: number;
  /** Of the request's body. */
  sentBytes: number;
}

/** Stands between a client and an HTTP server on loopback, counts, and does harm when told to. */
export class FaultProxy {
  readonly requests: ProxiedRequest[] = [];
  readonly #target: string;
  readonly #server: ReturnType<typeof createServer>;
  #rules: { readonly rule: FaultRule; left: number }[] = [];
  readonly #stalled: Set<() => void> = new Set();
  readonly #sockets: Set<IncomingMessage["socket"]> = new Set();
  #port = 0;

  constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming, answer) => void this.#serve(incoming, answer));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => undefined);
    });
  }

  /** `127.0.0.1:port`. */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
  }

  inject(rule: FaultRule): void {
    this.#rules.push({ rule, left: rule.times ?? Number.POSITIVE_INFINITY });
  }

  /** No more harm, and nothing counted yet. */
  clear(): void {
    this.#rules = [];
    this.requests.length = 0;
    this.release();
  }

  /** What is stalled is cut. */
  release(): void {
    for (const go of this.#stalled) go();
    this.#stalled.clear();
  }

  /** Answers that are stalled and whose client still waits. */
  get stalls(): number {
    return this.#stalled.size;
  }

  /** Requests whose path matches, with a method if one is given. */
  seen(path: RegExp, method?: string): readonly ProxiedRequest[] {
    return this.requests.filter(
      (one) => path.test(one.path) && (method === undefined || one.method === method),
    );
  }

  /** Bytes of answers' bodies to such requests. */
  bytesOf(path: RegExp): number {
    return this.seen(path, "GET").reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    this.clear();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #faultFor(incoming: IncomingMessage): Fault | undefined {
    for (const entry of this.#rules) {
      const { method, path, fault } = entry.rule;
      if (entry.left <= 0 || (method !== undefined && method !== incoming.method)) continue;
      if (!path.test(incoming.url ?? "")) continue;
      entry.left -= 1;
      return fault;
    }
    return undefined;
  }

  async #serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = incoming;
    const seen = { method, path: url, headers, status: 0, bytes: 0, sentBytes: 0 };
    this.requests.push(seen);
    const fault = this.#faultFor(incoming);
    answer.on("error", () => undefined);
    if (fault?.kind === "status") {
      seen.status = fault.status;
      const after = fault.retryAfterSeconds;
      answer.writeHead(fault.status, after === undefined ? {} : { "retry-after": `${after}` });
      answer.end();
      return;
    }
    if (fault?.kind === "delay") await Bun.sleep(fault.ms);
    const upstream = request(`${this.#target}${url}`, { method, headers });
    upstream.on("error", () => answer.destroy());
    incoming.on("data", (chunk: Buffer) => {
      seen.sentBytes += chunk.length;
      if (fault?.kind === "reset" && method !== "GET" && seen.sentBytes > fault.afterBytes) {
        upstream.destroy();
        answer.socket?.destroy();
        return;
      }
      upstream.write(chunk);
    });
    incoming.on("end", () => upstream.end());
    upstream.on("response", (from) => void this.#answer(from, answer, seen, fault));
  }

  async #answer(
    from: IncomingMessage,
    answer: ServerResponse,
    seen: ProxiedRequest,
    fault: Fault | undefined,
  ): Promise<void> {
    seen.status = from.statusCode ?? 0;
    answer.writeHead(seen.status, from.headers);
    const closed = new Promise<void>((resolve) => answer.once("close", resolve));
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (!(await this.#forward(chunk, answer, seen, fault, closed))) return;
      }
      answer.end();
    } catch {
      answer.socket?.destroy();
    }
  }

  /** False when the answer is over. */
  async #forward(
    chunk: Buffer,
    answer: ServerResponse,
    seen: ProxiedRequest,
    fault: Fault | undefined,
    closed: Promise<void>,
  ): Promise<boolean> {
    let bytes = Buffer.from(chunk);
    if (fault?.kind === "corrupt") {
      const at = fault.atByte - seen.bytes;
      if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    }
    const stops = fault?.kind === "reset" || fault?.kind === "stall";
    const last = stops && seen.bytes + bytes.length >= fault.afterBytes;
    if (last) bytes = bytes.subarray(0, fault.afterBytes - seen.bytes);
    seen.bytes += bytes.length;
    const taken = answer.write(bytes);
    if (!taken) await Promise.race([new Promise((go) => answer.once("drain", go)), closed]);
    if (!last) return !answer.destroyed;
    // What was written is on its way before the end.
    await new Promise<void>((go) => setTimeout(go, 50));
    if (fault.kind === "stall") {
      const released = Promise.withResolvers<void>();
      this.#stalled.add(released.resolve);
      await Promise.race([released.promise, closed]);
      this.#stalled.delete(released.resolve);
    }
    answer.socket?.destroy();
    return false;
  }
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const proxy = new FaultProxy(target);
  await proxy.listen();
  return proxy;
}
