import { connect, isIPv6 } from "node:net";
import { decode, type Question } from "dns-packet";
import type { Clock } from "../../../base/mod.ts";

export type Transport = "udp" | "tcp";

/** One server has this long; a client's own limit is 5 s (resolv.conf(5)), and three may be asked. */
const TRY_LIMIT_MS = 1_500;
/** Questions under way at once: beyond it askers are refused, rather than made to wait. */
const UNDER_WAY_MAX = 1024;
export const HEADER_BYTES = 12;
const COUNTS_OF_RECORDS = 6; // offset of those of answers, authorities and additionals
const SERVFAIL = 2;
const PORT = 53;

/** Asks other name servers, one after the other until one has an answer. */
export class Upstream {
  readonly #clock: Clock;
  readonly #port: number;
  #underWay = 0;

  constructor(clock: Clock, port: number = PORT) {
    this.#clock = clock;
    this.#port = port;
  }

  get isBusy(): boolean {
    return this.#underWay >= UNDER_WAY_MAX;
  }

  /** The answer as it came, with the question's id; undefined when nobody has one in time. */
  async ask(
    query: Uint8Array,
    servers: readonly string[],
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    this.#underWay += 1;
    try {
      let last: Uint8Array | undefined;
      for (const server of servers) {
        const answer = await this.#askOne(query, server, transport);
        if (answer === undefined) continue;
        last = answer;
        if (((answer[3] ?? 0) & 0xf) !== SERVFAIL) return answer;
      }
      return last;
    } finally {
      this.#underWay -= 1;
    }
  }

  async #askOne(
    query: Uint8Array,
    server: string,
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    // Of our own: the id that a client chose is no secret, and answers are told apart by it.
    const asked = Buffer.from(query);
    crypto.getRandomValues(asked.subarray(0, 2));
    const answer = await (transport === "udp"
      ? this.#overUdp(asked, server)
      : this.#overTcp(asked, server));
    if (answer === undefined) return undefined;
    const back = Buffer.from(answer);
    back.set(query.subarray(0, 2), 0);
    return back;
  }

  async #overUdp(query: Buffer, server: string): Promise<Uint8Array | undefined> {
    const result = Promise.withResolvers<Uint8Array | undefined>();
    const cancel = this.#clock.after(TRY_LIMIT_MS, () => result.resolve(undefined));
    let socket: Bun.udp.ConnectedSocket<"buffer"> | undefined;
    try {
      socket = await Bun.udpSocket({
        connect: { hostname: server, port: this.#port },
        socket: {
          data: (_, answer) => {
            if (isAnswer(query, answer)) result.resolve(answer);
          },
          error: () => result.resolve(undefined), // refused
        },
      });
      socket.send(query);
      return await result.promise;
    } catch {
      return undefined; // no way there
    } finally {
      cancel();
      socket?.close();
    }
  }

  #overTcp(query: Buffer, server: string): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host: server, port: this.#port, family: isIPv6(server) ? 6 : 4 });
      const finish = (answer: Uint8Array | undefined): void => {
        cancel();
        socket.destroy();
        resolve(answer);
      };
      const cancel = this.#clock.after(TRY_LIMIT_MS, () => finish(undefined));
      let got = Buffer.alloc(0);
      socket.on("connect", () => socket.write(framed(query)));
      socket.on("error", () => finish(undefined));
      socket.on("close", () => finish(undefined));
      socket.on("data", (chunk: Buffer) => {
        got = Buffer.concat([got, chunk]);
        if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
        const answer = got.subarray(2, 2 + got.readUInt16BE(0));
        finish(isAnswer(query, answer) ? answer : undefined);
      });
    });
  }
}

/** With its length before it. @see RFC 1035, section 4.2.2 */
export function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Is it the answer to this question, and not one that somebody made up for another? */
export function isAnswer(query: Buffer, answer: Uint8Array): boolean {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if (((bytes[2] ?? 0) & 0x80) === 0) return false;
  if (bytes.readUInt16BE(4) === 0) return true; // a refusal without the question
  try {
    const [mine, theirs] = [questionOf(query), questionOf(bytes)];
    return mine?.type === theirs?.type && mine?.name.toLowerCase() === theirs?.name.toLowerCase();
  } catch {
    return false;
  }
}

/** The first question alone: what else a message holds is its reader's business. */
function questionOf(message: Buffer): Question | undefined {
  const head = Buffer.from(message);
  head.fill(0, COUNTS_OF_RECORDS, HEADER_BYTES);
  return decode(head).questions?.[0];
}
