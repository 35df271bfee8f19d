import { close } from "../descriptor.ts";
import { AF_NETLINK, receive, SOCK_RAW, send, setSocketBuffers, socket } from "../socket.ts";
import { SyscallError } from "../syscall-error.ts";
import {
  decodeMessages,
  encodeMessage,
  type NetlinkReply,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "./message.ts";

const NETLINK_ROUTE = 0;
/** The packet filter's part of the kernel, connection tracking among it. */
export const NETLINK_NETFILTER: number = 12;
const DATAGRAM_BYTES_MAX = 64 * 1024; // the kernel fills at most 32 KiB a datagram in dumps
const RECEIVE_BUFFER_BYTES = 1024 * 1024; // a dump of thousands of links must not overrun it
const DUMP_TRIES_MAX = 5; // a dump during which links changed is asked for again

/** A request and how to call it in an error: `link v1234`. */
export interface LabelledRequest {
  readonly message: NetlinkRequest;
  readonly label: string;
}

/**
 * A socket to the part of the kernel that has links, addresses and routes, of the network namespace
 * that this thread is in now. It waits for answers: Workers only.
 */
export class RouteSocket {
  readonly #fd: number;
  readonly #buffer: Buffer = Buffer.alloc(DATAGRAM_BYTES_MAX);
  #sequence = 0;

  constructor(protocol: number = NETLINK_ROUTE) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    setSocketBuffers(this.#fd, { receiveBytes: RECEIVE_BUFFER_BYTES });
  }

  /** Sends all at once; throws SyscallError for the first that failed. The others are done or tried. */
  request(...requests: readonly LabelledRequest[]): void {
    const results = this.attempt(requests);
    for (const [index, errno] of results.entries()) {
      if (errno !== 0) throw new SyscallError("netlink", errno, requests[index]?.label);
    }
  }

  /** The errno of each request, 0 for those done. */
  attempt(requests: readonly LabelledRequest[]): number[] {
    const results = requests.map(() => -1);
    const first = this.#sequence + 1;
    this.#sequence += requests.length;
    const messages = requests.map(({ message }, index) =>
      encodeMessage({ ...message, flags: message.flags | NLM_F_ACK }, first + index),
    );
    send(this.#fd, Buffer.concat(messages));
    while (results.includes(-1)) {
      for (const reply of this.#receive()) {
        const index = reply.sequence - first;
        if (reply.type === NLMSG_ERROR && index >= 0 && index < results.length) {
          results[index] = -reply.body.readInt32LE(0);
        }
      }
    }
    return results;
  }

  /** The one answer to a question; throws SyscallError (ENODEV: no such link). */
  ask({ message, label }: LabelledRequest): NetlinkReply {
    this.#sequence += 1;
    send(this.#fd, encodeMessage(message, this.#sequence));
    for (;;) {
      for (const reply of this.#receive()) {
        if (reply.sequence !== this.#sequence) continue;
        if (reply.type !== NLMSG_ERROR) return { ...reply, body: Buffer.from(reply.body) };
        throw new SyscallError("netlink", -reply.body.readInt32LE(0), label);
      }
    }
  }

  /** All objects of a kind. */
  dump<T>(type: number, body: Uint8Array, parse: (reply: NetlinkReply) => T): T[] {
    for (let tries = 1; ; tries += 1) {
      const { objects, interrupted } = this.#dumpOnce(type, body, parse);
      if (!interrupted || tries >= DUMP_TRIES_MAX) return objects;
    }
  }

  #dumpOnce<T>(
    type: number,
    body: Uint8Array,
    parse: (reply: NetlinkReply) => T,
  ): { objects: T[]; interrupted: boolean } {
    this.#sequence += 1;
    send(this.#fd, encodeMessage({ type, flags: NLM_F_DUMP, body }, this.#sequence));
    const objects: T[] = [];
    let interrupted = false;
    for (;;) {
      for (const reply of this.#receive()) {
        if (reply.sequence !== this.#sequence) continue;
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (reply.type === NLMSG_DONE) return { objects, interrupted };
        if (reply.type === NLMSG_ERROR) {
          throw new SyscallError("netlink", -reply.body.readInt32LE(0), "dump");
        }
        objects.push(parse(reply));
      }
    }
  }

  #receive(): NetlinkReply[] {
    const length = receive(this.#fd, this.#buffer);
    return decodeMessages(this.#buffer.subarray(0, length));
  }

  close(): void {
    close(this.#fd);
  }
}
