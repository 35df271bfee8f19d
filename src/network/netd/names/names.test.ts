import { describe, expect, test } from "bun:test";
import { decode, encode, type Packet } from "dns-packet";
import fc from "fast-check";
import type { NameRecords } from "../contract.ts";
import type { HostServers } from "./host-servers.ts";
import { NameServer } from "./name-server.ts";
import { addressOfReverse, NameTable } from "./name-table.ts";
import { isAnswer, type Transport, type Upstream } from "./upstream.ts";

function records(
  containerId: string,
  names: readonly string[],
  over: { ipv4?: string; ipv6?: string; networkId?: string; links?: Record<string, string> } = {},
): NameRecords {
  const { ipv4 = "10.0.0.2", ipv6 = "", networkId = "n1", links = {} } = over;
  const place = { networkId, networkName: "app", ipv4, ipv6, names, links };
  return { containerId, netnsPath: "/x", networks: [place], upstreams: [], external: true };
}

function query(name: string, type: "A" | "AAAA" | "PTR" | "MX" | "TXT", over: Packet = {}): Buffer {
  const questions = [{ name, type, class: "IN" as const }];
  return encode({ type: "query", id: 77, flags: 0x100, questions, ...over });
}

interface Asked {
  readonly servers: readonly string[];
  readonly transport: Transport;
}

function server(table: NameTable, answer?: Uint8Array): { server: NameServer; asked: Asked[] } {
  const asked: Asked[] = [];
  const upstream: Pick<Upstream, "ask" | "isBusy"> = {
    isBusy: false,
    ask: async (_, servers, transport) => {
      asked.push({ servers, transport });
      return answer;
    },
  };
  const host: Pick<HostServers, "now"> = { now: () => ["192.0.2.1"] };
  const made = new NameServer({
    table,
    upstream: upstream as Upstream,
    host: host as HostServers,
  });
  return { server: made, asked };
}

const CODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

async function reply(made: NameServer, message: Buffer, transport: Transport = "udp") {
  const bytes = await made.answer("web", message, transport);
  if (bytes === undefined) return undefined;
  const packet = decode(Buffer.from(bytes));
  const answers = (packet.answers ?? []).flatMap((one) =>
    "data" in one && typeof one.data === "string" ? [one.data] : [],
  );
  return { ...packet, rcode: CODES[(bytes[3] ?? 0) & 0xf], answers };
}

function app(): NameTable {
  const table = new NameTable();
  table.set(records("web", ["web"], { ipv4: "10.0.0.9", links: { store: "db1" } }));
  table.set(records("db1", ["db", "data"], { ipv4: "10.0.0.2", ipv6: "fd00::2" }));
  table.set(records("db2", ["db2", "Data"], { ipv4: "10.0.0.3" }));
  table.set(records("far", ["far"], { networkId: "n2", ipv4: "10.1.0.2" }));
  return table;
}

describe("names", () => {
  test("of containers on the same network, in any case, with the network's name, by links", async () => {
    const { server: made, asked } = server(app());
    for (const name of ["db", "DB", "db.app", "store"]) {
      expect(await reply(made, query(name, "A"))).toMatchObject({
        id: 77,
        rcode: "NOERROR",
        answers: ["10.0.0.2"],
      });
    }
    expect(asked).toEqual([]);
  });

  test("shared by several are answered with all, each first in its turn", async () => {
    const { server: made } = server(app());
    const firsts = new Set<string | undefined>();
    for (let tries = 0; tries < 4; tries += 1) {
      const found = await reply(made, query("data", "A"));
      expect(found?.answers.toSorted()).toEqual(["10.0.0.2", "10.0.0.3"]);
      firsts.add(found?.answers[0]);
    }
    expect(firsts.size).toBe(2);
  });

  test("without an address of the family, or of another type, are there all the same", async () => {
    const { server: made, asked } = server(app());
    expect(await reply(made, query("db", "AAAA"))).toMatchObject({ answers: ["fd00::2"] });
    expect(await reply(made, query("db2", "AAAA"))).toMatchObject({
      rcode: "NOERROR",
      answers: [],
    });
    expect(await reply(made, query("db", "MX"))).toMatchObject({ rcode: "NOERROR", answers: [] });
    expect(asked).toEqual([]);
  });

  test("of other networks, and unknown ones, are asked of other servers", async () => {
    const answer = encode({ type: "response", id: 77, questions: [], answers: [] });
    const { server: made, asked } = server(app(), answer);
    await reply(made, query("far", "A"));
    await reply(made, query("example.org", "A"), "tcp");
    await reply(made, query("2.0.1.10.in-addr.arpa", "PTR"));
    expect(asked.map(({ transport }) => transport)).toEqual(["udp", "tcp", "udp"]);
    expect(asked[0]?.servers).toEqual(["192.0.2.1"]);
  });

  test("nobody answers in time: a failure, not silence; internal networks ask nobody", async () => {
    const { server: made } = server(app());
    expect(await reply(made, query("example.org", "A"))).toMatchObject({ rcode: "SERVFAIL" });
    const table = app();
    table.set({ ...records("web", ["web"]), external: false });
    const closed = server(table);
    expect(await reply(closed.server, query("example.org", "A"))).toMatchObject({
      rcode: "NXDOMAIN",
    });
    expect(closed.asked).toEqual([]);
  });

  test("addresses have names, of both families", async () => {
    const { server: made } = server(app());
    const six = `2.${"0.".repeat(27)}0.0.d.f.ip6.arpa`;
    expect(addressOfReverse(six)).toBe("fd00::2");
    for (const name of ["2.0.0.10.in-addr.arpa", six]) {
      expect(await reply(made, query(name, "PTR"))).toMatchObject({ answers: ["db.app"] });
    }
  });

  test("a container that is gone, or has another name now, is not found by the old one", async () => {
    const table = app();
    table.remove("db2");
    table.set(records("db1", ["renamed"]));
    const { server: made, asked } = server(table);
    expect(await reply(made, query("renamed", "A"))).toMatchObject({ answers: ["10.0.0.2"] });
    await reply(made, query("db", "A"));
    await reply(made, query("db2", "A"));
    expect(asked.length).toBe(2);
  });

  test("more than fits a packet is cut off for UDP and whole for TCP", async () => {
    const table = app();
    for (let n = 0; n < 100; n += 1) {
      table.set(records(`w${n}`, ["many"], { ipv4: `10.0.1.${n}` }));
    }
    const { server: made } = server(table);
    expect(await reply(made, query("many", "A"))).toMatchObject({ flag_tc: true, answers: [] });
    expect((await reply(made, query("many", "A"), "tcp"))?.answers.length).toBe(100);
    const extension = { type: "OPT", name: ".", udpPayloadSize: 4096, flags: 0, options: [] };
    const wide = query("many", "A", { additionals: [extension as never] });
    expect((await reply(made, wide))?.answers.length).toBe(100);
  });

  test("garbage is refused or left alone, whatever it is", async () => {
    const { server: made } = server(app());
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) => {
        const answer = await made.answer("web", bytes, "udp");
        if (answer === undefined) return;
        expect(Buffer.from(answer).subarray(0, 2)).toEqual(Buffer.from(bytes.subarray(0, 2)));
        expect((answer[2] ?? 0) & 0x80).toBe(0x80); // never a question
      }),
    );
    const good = query("db", "A");
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, value) => {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        await made.answer("web", bytes, "udp");
        await made.answer("web", bytes.subarray(0, at), "tcp");
      }),
    );
    const response = Buffer.from(good);
    response[2] = 0x81;
    expect(await made.answer("web", response, "udp")).toBeUndefined();
    expect(await made.answer("nobody", good, "udp")).toBeUndefined();
  });

  test("an answer to another question, or with another id, is none", () => {
    const asked = query("db", "A");
    const answerTo = (name: string, id: number): Buffer =>
      encode({ type: "response", id, questions: [{ name, type: "A", class: "IN" }] });
    expect(isAnswer(asked, answerTo("DB", 77))).toBe(true);
    expect(isAnswer(asked, answerTo("evil", 77))).toBe(false);
    expect(isAnswer(asked, answerTo("db", 78))).toBe(false);
    expect(isAnswer(asked, asked)).toBe(false);
    expect(isAnswer(asked, answerTo("db", 77).subarray(0, 11))).toBe(false);
  });
});
