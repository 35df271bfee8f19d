import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { newAddress, parseAddress, parseRoute, setDefaultRoute } from "./address.ts";
import { deleteLink, isolatePort, newVeth, parseLink } from "./link.ts";
import {
  attribute,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  nestedAttribute,
  textOf,
} from "./message.ts";

/** Bytes as the headers of the kernel lay them out, written by hand. */
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s+/g, ""), "hex");
const encoded = (message: Parameters<typeof encodeMessage>[0]): Buffer =>
  Buffer.from(encodeMessage(message, 7));

describe("netlink messages", () => {
  test("deleting a link by name", () => {
    const want = bytes(`
      2c000000 1100 0100 07000000 00000000
      00 00 0000 00000000 00000000 00000000
      0b00 0300 6e617275313200 00`);
    expect(encoded(deleteLink("naru12"))).toEqual(want);
  });

  test("an address with its broadcast", () => {
    const want = bytes(`
      30000000 1400 0106 07000000 00000000
      02 10 00 00 05000000
      0800 0200 ac110003  0800 0100 ac110003  0800 0400 ac11ffff`);
    expect(encoded(newAddress({ index: 5, address: "172.17.0.3", prefixLength: 16 }))).toEqual(
      want,
    );
  });

  test("a default route", () => {
    const want = bytes(`
      24000000 1800 0105 07000000 00000000
      02 00 00 00 fe 03 00 01 00000000
      0800 0500 ac110001`);
    expect(encoded(setDefaultRoute("172.17.0.1"))).toEqual(want);
  });

  test("an isolated port", () => {
    const want = bytes(`
      2c000000 1300 0100 07000000 00000000
      07 00 0000 09000000 00000000 00000000
      0c00 0c80  0500 2100 01 000000`);
    expect(encoded(isolatePort(9))).toEqual(want);
  });

  test("a pair with its far end in another namespace", () => {
    const peer = { name: "eth0", macAddress: "02:42:ac:11:00:03", namespaceFd: 12 };
    const want = bytes(`
      80000000 1000 0106 07000000 00000000
      00 00 0000 00000000 01000000 01000000
      0700 0300 763100 00
      0800 0400 dc050000
      0800 0a00 04000000
      4800 1280
        0900 0100 7665746800 000000
        3800 0280
          3400 0180
            00 00 0000 00000000 00000000 00000000
            0900 0300 6574683000 000000
            0800 0400 dc050000
            0a00 0100 0242ac110003 0000
            0800 1c00 0c000000`);
    want.writeUInt32LE(want.byteLength, 0);
    const sizes = { linkinfo: 0, data: 0, peer: 0 };
    const got = encoded(newVeth({ name: "v1", masterIndex: 4, mtu: 1500, peer }));
    // The three nested lengths follow from their contents; the rest is compared byte for byte.
    sizes.peer = 4 + 16 + 12 + 8 + 12 + 8;
    sizes.data = 4 + sizes.peer;
    sizes.linkinfo = 4 + 12 + sizes.data;
    const at = want.indexOf(bytes("4800 1280"));
    want.writeUInt16LE(sizes.linkinfo, at);
    want.writeUInt16LE(sizes.data, at + 16);
    want.writeUInt16LE(sizes.peer, at + 20);
    expect(got.toString("hex")).toBe(want.toString("hex"));
  });

  test("what the kernel answers is read", () => {
    const link = parseLink({
      type: 16,
      flags: 0,
      sequence: 1,
      body: bytes(`
        00 00 0100 06000000 43100100 00000000
        0700 0300 763100 00  0800 0400 dc050000  0800 0a00 04000000
        0a00 0100 0242ac110003 0000  1000 1200 0900 0100 7665746800 000000`),
    });
    expect(link).toEqual({
      index: 6,
      name: "v1",
      up: true,
      master: 4,
      kind: "veth",
      macAddress: "02:42:ac:11:00:03",
      mtu: 1500,
      counters: undefined,
    });
    const address = bytes("02 18 80 00 03000000 0800 0200 0a000001 0800 0100 0a000001");
    expect(parseAddress({ type: 20, flags: 0, sequence: 1, body: address })).toEqual({
      index: 3,
      address: "10.0.0.1",
      prefixLength: 24,
    });
    const route = bytes("02 10 00 00 fe 02 fd 01 00000000 0800 0100 ac110000 0800 0400 03000000");
    expect(parseRoute({ type: 24, flags: 0, sequence: 1, body: route })).toEqual({
      destination: "172.17.0.0",
      prefixLength: 16,
      gateway: "",
      index: 3,
    });
    route[4] = 255; // the local table
    expect(parseRoute({ type: 24, flags: 0, sequence: 1, body: route })).toBeUndefined();
  });

  test("messages and attributes of any size come back as they went in", () => {
    const body = fc.uint8Array({ maxLength: 70 });
    fc.assert(
      fc.property(fc.array(body, { maxLength: 6 }), (bodies) => {
        const datagram = Buffer.concat(
          bodies.map((data, index) => encodeMessage({ type: 16, flags: 0, body: data }, index)),
        );
        const back = decodeMessages(datagram);
        expect(back.map((message) => [...message.body])).toEqual(bodies.map((data) => [...data]));
        const attributes = decodeAttributes(
          Buffer.from(
            nestedAttribute(1, ...bodies.map((data, index) => attribute(index + 1, data))),
          ).subarray(4),
        );
        expect([...attributes.values()].map((data) => [...data])).toEqual(
          bodies.map((data) => [...data]),
        );
      }),
      { verbose: true },
    );
    expect(textOf(Buffer.from("eth0\0\0"))).toBe("eth0");
    expect(() => decodeMessages(bytes("ff000000 1000 0000 00000000 00000000"))).toThrow("length");
  });
});
