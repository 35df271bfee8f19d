import {
  type Answer,
  decode,
  encode,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from "dns-packet";
import type { NameRecords } from "../contract.ts";
import type { HostServers } from "./host-servers.ts";
import { addressOfReverse, type NameTable } from "./name-table.ts";
import { HEADER_BYTES, type Transport, type Upstream } from "./upstream.ts";

/** Containers come and go: what a client remembers should not outlive them by much. */
const TTL_SECONDS = 5;
const UDP_BYTES = 512; // RFC 1035, section 2.3.4, for who does not say more
const UDP_BYTES_MAX = 4096;
const OWN_UDP_BYTES = 1232; // what goes through everywhere in one piece (dnsflagday.net/2020)
/** Of one container under way to other servers; one that asks without end must not starve others. */
const ASKED_BY_ONE_MAX = 128;

const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const NOTIMP = 4;
const REFUSED = 5;

/** Answers containers' look-ups: of each other from the table, of the world from other servers. */
export class NameServer {
  readonly #table: NameTable;
  readonly #upstream: Upstream;
  readonly #host: HostServers;
  readonly #underWay: Map<string, number> = new Map();

  constructor(options: {
    readonly table: NameTable;
    readonly upstream: Upstream;
    readonly host: HostServers;
  }) {
    this.#table = options.table;
    this.#upstream = options.upstream;
    this.#host = options.host;
  }

  /** Undefined: not even a refusal is due. Never throws. @see RFC 1035, section 4.1 */
  async answer(
    containerId: string,
    message: Uint8Array,
    transport: Transport,
  ): Promise<Uint8Array | undefined> {
    const asker = this.#table.of(containerId);
    const isQuery = message.length >= HEADER_BYTES && ((message[2] ?? 0) & 0x80) === 0;
    if (asker === undefined || !isQuery) return undefined; // answering answers would never end
    let packet: Packet;
    try {
      packet = decode(Buffer.from(message));
    } catch {
      return bare(message, FORMERR);
    }
    if (((message[2] ?? 0) & 0x78) !== 0) return bare(message, NOTIMP);
    const [question] = packet.questions ?? [];
    if (question === undefined || packet.questions?.length !== 1) return bare(message, FORMERR);
    const answers = this.#local(asker, question);
    if (answers !== undefined) return reply(packet, { answers, rcode: 0 }, transport);
    if (!asker.external) return reply(packet, { answers: [], rcode: NXDOMAIN }, transport);
    return await this.#forward(asker, message, { packet, transport });
  }

  #local(asker: NameRecords, { name, type, class: kind }: Question): Answer[] | undefined {
    if (kind !== "IN") return undefined;
    if (type === "PTR") {
      const address = addressOfReverse(name);
      const found = address === undefined ? undefined : this.#table.reverse(asker, address);
      return found === undefined
        ? undefined
        : [{ type: "PTR", name, ttl: TTL_SECONDS, data: found }];
    }
    const family = type === "AAAA" ? 6 : 4;
    const addresses = this.#table.lookUp(asker, name, family);
    if (addresses === undefined) return undefined;
    // Of another type a container's name has nothing, and the world does not know it.
    if (type !== "A" && type !== "AAAA") return [];
    return addresses.map((data) => ({ type, name, ttl: TTL_SECONDS, data }));
  }

  async #forward(
    asker: NameRecords,
    message: Uint8Array,
    { packet, transport }: { readonly packet: Packet; readonly transport: Transport },
  ): Promise<Uint8Array> {
    const { containerId, upstreams } = asker;
    const before = this.#underWay.get(containerId) ?? 0;
    if (before >= ASKED_BY_ONE_MAX || this.#upstream.isBusy) {
      return reply(packet, { answers: [], rcode: REFUSED }, transport);
    }
    this.#underWay.set(containerId, before + 1);
    try {
      const servers = upstreams.length > 0 ? upstreams : this.#host.now();
      const answer = await this.#upstream.ask(message, servers, transport);
      return answer ?? reply(packet, { answers: [], rcode: SERVFAIL }, transport);
    } finally {
      const left = (this.#underWay.get(containerId) ?? 1) - 1;
      if (left === 0) this.#underWay.delete(containerId);
      else this.#underWay.set(containerId, left);
    }
  }
}

/** The header alone, for what could not be read. */
function bare(message: Uint8Array, rcode: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(message.subarray(0, 2));
  header[2] = 0x80 | ((message[2] ?? 0) & 0x79); // an answer; opcode and RD as they were
  header[3] = 0x80 | rcode;
  return header;
}

function reply(
  query: Packet,
  { answers, rcode }: { readonly answers: Answer[]; readonly rcode: number },
  transport: Transport,
): Uint8Array {
  const extension = (query.additionals ?? []).find(({ type }) => type === "OPT");
  const asked = extension !== undefined && "udpPayloadSize" in extension ? extension : undefined;
  const desired = (query.flags ?? 0) & RECURSION_DESIRED;
  const packet: Packet = {
    type: "response",
    id: query.id ?? 0,
    flags: desired | RECURSION_AVAILABLE | rcode,
    questions: query.questions ?? [],
    answers,
    additionals: asked === undefined ? [] : [{ ...OWN_EXTENSION }],
  };
  const bytes = encode(packet);
  const room = Math.min(Math.max(asked?.udpPayloadSize ?? 0, UDP_BYTES), UDP_BYTES_MAX);
  if (transport === "tcp" || bytes.length <= room) return bytes;
  return encode({ ...packet, answers: [], flags: (packet.flags ?? 0) | TRUNCATED_RESPONSE });
}

/** @see RFC 6891, section 6.1.1: who is asked with it answers with it. */
const OWN_EXTENSION = {
  type: "OPT",
  name: ".",
  udpPayloadSize: OWN_UDP_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
} as const satisfies Answer;
