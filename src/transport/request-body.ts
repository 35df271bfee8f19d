import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { NaruError } from "../base/mod.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  /** From the call to the last byte. */
  readonly totalMs: number;
}

/** The whole body. Throws too_large above the limit, invalid_argument when late or cut off. */
export function readBody(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > limits.bytesMax) return Promise.reject(tooLarge(limits.bytesMax));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      request.off("data", take).off("end", whole).off("close", cut).off("error", cut);
      end();
    };
    const fail = (error: NaruError): void => settle(() => reject(error));
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limits.bytesMax) fail(tooLarge(limits.bytesMax));
      else chunks.push(chunk);
    };
    const whole = (): void =>
      settle(() => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    const cut = (): void => fail(new NaruError("cancelled", "the request body was cut off"));
    const timer = setTimeout(
      () => fail(late(`the request body did not arrive within ${limits.totalMs} ms`)),
      limits.totalMs,
    );
    request.on("data", take).on("end", whole).on("close", cut).on("error", cut);
    if (request.readableEnded) whole();
  });
}

/**
 * The body as it arrives, for uploads of any size: no limit in total, but the sender must not
 * pause for longer than `idleMs`. The reader's pace holds the sender back. Throws invalid_argument
 * when it stalls, cancelled when it is cut off.
 */
export async function* streamBody(source: Readable, idleMs: number): AsyncGenerator<Uint8Array> {
  const reader: AsyncIterator<Uint8Array> = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await withinMs(reader.next(), idleMs);
    if (next.done) return;
    yield next.value;
  }
}

function withinMs<T>(next: Promise<T>, idleMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const stalled = (): void =>
      reject(late(`no bytes of the request body arrived for ${idleMs} ms`));
    const timer = setTimeout(stalled, idleMs);
    const cut = (cause: unknown): void => {
      reject(new NaruError("cancelled", "the request body was cut off", {}, { cause }));
    };
    next.then(resolve, cut).finally(() => clearTimeout(timer));
  });
}

function tooLarge(bytesMax: number): NaruError {
  return new NaruError("too_large", `request body is larger than ${bytesMax} bytes`, { bytesMax });
}

function late(message: string): NaruError {
  return new NaruError("invalid_argument", message);
}
