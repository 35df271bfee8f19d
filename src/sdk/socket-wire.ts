import { NaruError } from "../base/mod.ts";
import { ByteChannel, type TlsOptions } from "./byte-channel.ts";
import type { EngineAddress } from "./host.ts";
import { bodyLength, type ResponseHead, readBody, readResponseHead } from "./http-response.ts";
import type { RequestBody, UpgradeResult, Wire, WireRequest, WireResponse } from "./wire.ts";

const IDLE_CONNECTIONS_MAX = 4; // a command needs two or three at a time

/** HTTP/1.1 over sockets of our own; connections are kept and used again. */
export class SocketWire implements Wire {
  readonly #address: EngineAddress;
  readonly #tls: TlsOptions | undefined;
  readonly #idle: ByteChannel[] = [];
  /** Every open connection: a forgotten one would keep the process alive. */
  readonly #open: Set<ByteChannel> = new Set();

  constructor(address: EngineAddress, tls: TlsOptions | undefined) {
    this.#address = address;
    this.#tls = tls;
  }

  async send(request: WireRequest): Promise<WireResponse> {
    const { channel, head, stopWatching } = await this.#exchange(request);
    return this.#response(request, channel, head, stopWatching);
  }

  async upgrade(request: WireRequest): Promise<UpgradeResult> {
    const { channel, head, stopWatching } = await this.#exchange({
      ...request,
      headers: { ...request.headers, Connection: "Upgrade", Upgrade: "tcp" },
    });
    const contentType = head.headers.get("content-type") ?? "";
    // Engines before 1.20 of the protocol, and proxies that drop Upgrade, answer 200 and go raw.
    const raw = head.status === 200 && contentType.startsWith("application/vnd.docker.");
    if (head.status !== 101 && !raw) {
      return {
        upgraded: false,
        response: this.#response(request, channel, head, stopWatching),
      };
    }
    return {
      upgraded: true,
      stream: {
        contentType,
        read: () => channel.read(),
        write: (bytes) => channel.write(bytes),
        closeWrite: () => channel.closeWrite(),
        close: () => {
          stopWatching();
          this.#end(channel);
        },
      },
    };
  }

  close(): void {
    this.#idle.length = 0;
    for (const channel of this.#open) channel.close();
    this.#open.clear();
  }

  #end(channel: ByteChannel): void {
    channel.close();
    this.#open.delete(channel);
  }

  /** Sends the request and reads the head of the answer. */
  async #exchange(
    request: WireRequest,
  ): Promise<{ channel: ByteChannel; head: ResponseHead; stopWatching: () => void }> {
    throwIfAborted(request.signal);
    for (;;) {
      const reused = this.#takeIdle();
      const channel = reused ?? (await ByteChannel.connect(this.#address, this.#tls));
      this.#open.add(channel);
      const stopWatching = watchAbort(request.signal, channel);
      const sent = sendRequest(channel, request);
      // An engine may refuse before it has read the whole body: look at the answer in any case.
      const sendFailure = sent.then(
        () => undefined,
        (error: unknown) => error,
      );
      let head = await readResponseHead(channel);
      while (head !== null && head.status < 200 && head.status !== 101) {
        head = await readResponseHead(channel);
      }
      if (head !== null) return { channel, head, stopWatching };
      stopWatching();
      this.#end(channel);
      throwIfAborted(request.signal);
      // A kept connection may have been closed by the engine meanwhile; nothing was processed.
      if (reused !== undefined && isReplayable(request)) continue;
      throw new NaruError(
        "unavailable",
        "the engine closed the connection without an answer",
        {},
        { cause: await sendFailure },
      );
    }
  }

  #takeIdle(): ByteChannel | undefined {
    for (;;) {
      const channel = this.#idle.pop();
      if (channel === undefined || channel.usable) return channel;
      this.#end(channel);
    }
  }

  #response(
    request: WireRequest,
    channel: ByteChannel,
    head: ResponseHead,
    stopWatching: () => void,
  ): WireResponse {
    const length = bodyLength(request.method, head);
    let over = false;
    const finish = (reusable: boolean): void => {
      if (over) return;
      over = true;
      stopWatching();
      const keep = reusable && head.keepAlive && length.kind !== "close" && channel.usable;
      if (keep && this.#idle.length < IDLE_CONNECTIONS_MAX) this.#idle.push(channel);
      else this.#end(channel);
    };
    if (length.kind === "none") finish(true);
    async function* body(): AsyncGenerator<Uint8Array, void, void> {
      let ended = false;
      try {
        if (!over) yield* readBody(channel, length);
        ended = true;
      } finally {
        finish(ended);
      }
    }
    return { status: head.status, headers: head.headers, body: body(), close: () => finish(false) };
  }
}

function isReplayable(request: WireRequest): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

async function sendRequest(channel: ByteChannel, request: WireRequest): Promise<void> {
  const { body } = request;
  const headers: Record<string, string> = { Host: "naru", ...request.headers };
  const whole = wholeBody(body);
  if (whole !== undefined) headers["Content-Length"] = String(whole.length);
  else if (body !== undefined) headers["Transfer-Encoding"] = "chunked";
  else if (request.method !== "GET" && request.method !== "HEAD") headers["Content-Length"] = "0";
  let head = `${request.method} ${request.target} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
  const headBytes = Buffer.from(`${head}\r\n`);
  // One packet for head and body: one wake-up of the engine.
  await channel.write(whole === undefined ? headBytes : Buffer.concat([headBytes, whole]));
  if (whole !== undefined || body === undefined) return;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (chunk.length === 0) continue;
    await channel.write(`${chunk.length.toString(16)}\r\n`);
    await channel.write(chunk);
    await channel.write("\r\n");
  }
  await channel.write("0\r\n\r\n");
}

function wholeBody(body: RequestBody | undefined): Uint8Array | undefined {
  if (typeof body === "string") return Buffer.from(body);
  return body instanceof Uint8Array ? body : undefined;
}

function watchAbort(signal: AbortSignal | undefined, channel: ByteChannel): () => void {
  if (signal === undefined) return () => undefined;
  const onAbort = (): void => channel.close(cancelled());
  signal.addEventListener("abort", onAbort, { once: true });
  return () => signal.removeEventListener("abort", onAbort);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled();
}

function cancelled(): NaruError {
  return new NaruError("cancelled", "the request was cancelled");
}
