import { describe, expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import fc from "fast-check";
import {
  WebSocketDecoder,
  type WebSocketPiece,
  webSocketAccept,
  webSocketClose,
  webSocketFrame,
} from "./web-socket.ts";

const seed = Number(process.env["NARU_FUZZ_SEED"] ?? randomInt(2 ** 31));
console.log(`web-socket.test.ts seed ${seed}`);

/** A frame as a client sends it. */
function masked(first: number, payload: Uint8Array): Buffer {
  const server = Buffer.from(webSocketFrame("binary", payload));
  const headerBytes = server.length - payload.length;
  const mask = Buffer.from([7, 0, 255, 31]);
  const header = Buffer.from(server.subarray(0, headerBytes));
  header[0] = first;
  header[1] = (header[1] ?? 0) | 0x80;
  return Buffer.concat([header, mask, payload.map((byte, at) => byte ^ (mask[at & 3] ?? 0))]);
}

function dataOf(pieces: readonly WebSocketPiece[]): Buffer {
  return Buffer.concat(pieces.flatMap((piece) => (piece.kind === "data" ? [piece.bytes] : [])));
}

test("the accept key is that of RFC 6455 section 1.3", () => {
  expect(webSocketAccept("dGhlIHNhbXBsZSBub25jZQ==")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("frames have the three lengths of the protocol", () => {
  expect([...webSocketFrame("text", Buffer.from("hi"))]).toEqual([0x81, 2, 0x68, 0x69]);
  expect([...webSocketFrame("binary", Buffer.alloc(126)).subarray(0, 4)]).toEqual([
    0x82, 126, 0, 126,
  ]);
  expect([...webSocketFrame("binary", Buffer.alloc(65_536)).subarray(0, 10)]).toEqual([
    0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0,
  ]);
  expect([...webSocketClose(1000)]).toEqual([0x88, 2, 3, 232]);
});

describe("what a client sends", () => {
  test("is the same however it is cut", () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 4 });
    fc.assert(
      fc.property(chunks, fc.integer({ min: 1, max: 5000 }), (payloads, cut) => {
        const wire = Buffer.concat(payloads.map((payload) => masked(0x82, payload)));
        const decoder = new WebSocketDecoder();
        const pieces: WebSocketPiece[] = [];
        for (let at = 0; at < wire.length; at += cut) {
          pieces.push(...decoder.push(wire.subarray(at, at + cut)));
        }
        expect(dataOf(pieces).equals(Buffer.concat(payloads))).toBe(true);
      }),
      { seed, numRuns: 40 },
    );
  });

  test("may hold pings between the parts of a message, and ends with a close", () => {
    const wire = Buffer.concat([
      masked(0x01, Buffer.from("a")),
      masked(0x89, Buffer.from("?")),
      masked(0x80, Buffer.from("b")),
      masked(0x82, Buffer.alloc(0)),
      masked(0x88, Buffer.alloc(0)),
      masked(0x82, Buffer.from("late")),
    ]);
    const pieces = new WebSocketDecoder().push(wire);
    expect(pieces.map(({ kind }) => kind)).toEqual(["data", "ping", "data", "close"]);
    expect(dataOf(pieces).toString()).toBe("ab");
  });

  test("is refused where the protocol is broken", () => {
    const broken: readonly (readonly [Uint8Array, string])[] = [
      [Buffer.from([0x82, 1, 0, 0, 0, 0, 0]), "not masked"],
      [masked(0xc2, Buffer.from("x")), "reserved bit"],
      [masked(0x83, Buffer.from("x")), "unknown opcode 3"],
      [masked(0x8b, Buffer.from("x")), "unknown opcode 11"],
      [masked(0x09, Buffer.from("x")), "in parts"],
      [masked(0x89, Buffer.alloc(126)), "too long"],
      [masked(0x80, Buffer.from("x")), "out of order"],
      [Buffer.from([0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]), "too long"],
    ];
    for (const [wire, why] of broken) {
      expect(() => new WebSocketDecoder().push(wire)).toThrow(why);
    }
  });

  test("never makes it fail otherwise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          new WebSocketDecoder().push(bytes);
        } catch (error) {
          expect(String(error)).toContain("web socket:");
        }
      }),
      { seed },
    );
  });
});
