import { expect, test } from "bun:test";
import { gunzipSync, inflateSync } from "node:zlib";
import { fluentdAck, fluentdBatch } from "./fluentd-format.ts";
import { compressGelf, GELF_CHUNK_BYTES, gelfDatagrams, gelfMessage } from "./gelf-format.ts";
import { journaldMessage } from "./journald-format.ts";
import type { ShipMessage } from "./message.ts";
import { packMessage } from "./msgpack.ts";
import type { GelfTarget, LogOrigin, SyslogFormat } from "./plan.ts";
import { syslogMessage } from "./syslog-format.ts";

const origin: LogOrigin = {
  containerId: "ab".repeat(32),
  containerName: "web",
  imageId: "sha256:12",
  imageName: "busybox",
  command: "sh -c x",
  createdNs: "1767225599000000001",
  hostname: "host1",
  tag: "the tag",
  attributes: { "com.x/y": "z" },
};
// 2026-01-01T02:03:04.056789012Z
const timeNs = 1767232984056789012n;

function message(text: string, over: Partial<ShipMessage> = {}): ShipMessage {
  return { stream: "stdout", timeNs, line: Buffer.from(text), partial: undefined, ...over };
}

function syslog(format: SyslogFormat, transport: "tcp" | "tls" = "tcp"): string {
  const header = { facility: 3, hostname: "host1", tag: "the tag", pid: 42 };
  const address = { transport, host: "h", port: 514 };
  return syslogMessage(message("hello", { stream: "stderr" }), header, {
    format,
    address,
  }).toString();
}

test("syslog by RFC 3164, RFC 5424 and the local form", () => {
  const local = new Date(Number(timeNs / 1_000_000n));
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = [local.getHours(), local.getMinutes(), local.getSeconds()].map(two).join(":");
  const day = String(local.getDate()).padStart(2);
  const month = local.toLocaleString("en", { month: "short" });
  // 3 * 8 + 3: daemon, err
  expect(syslog("local")).toBe(`<27>${month} ${day} ${clock} the tag[42]: hello\n`);
  expect(syslog("rfc3164")).toBe(`<27>${month} ${day} ${clock} host1 the tag[42]: hello\n`);
  expect(syslog("rfc5424")).toBe("<27>1 2026-01-01T02:03:04Z host1 the_tag 42 the_tag - hello\n");
  expect(syslog("rfc5424micro")).toContain("1 2026-01-01T02:03:04.056789Z host1 ");
});

test("RFC 5425: over TLS the length of the message goes before it", () => {
  const framed = syslog("rfc5424", "tls");
  const space = framed.indexOf(" ");
  expect(Number(framed.slice(0, space))).toBe(framed.length - space - 1);
  expect(syslog("rfc3164", "tls")).toStartWith("<27>");
});

test("journald: plain fields, and a length where the value has a newline", () => {
  const marked = message("a\nb", { partial: { id: "p", ordinal: 2, last: false } });
  const text = journaldMessage(marked, origin).toString("latin1");
  expect(text).toStartWith(
    "MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=6\nCONTAINER_ID=abababababab\n",
  );
  expect(text).toContain("\nCONTAINER_NAME=web\nCONTAINER_TAG=the tag\nIMAGE_NAME=busybox\n");
  expect(text).toContain("\nSYSLOG_TIMESTAMP=2026-01-01T02:03:04.056789012Z\n");
  expect(text).toContain("\nCONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_PARTIAL_ID=p\n");
  expect(text).toEndWith("CONTAINER_PARTIAL_LAST=false\nCOM_X_Y=z\n");
});

test("MessagePack: the forms of the specification", () => {
  const hex = (value: Parameters<typeof packMessage>[0]): string =>
    packMessage(value).toString("hex");
  expect([0, 127, 128, 255, 256, 65_535, 65_536].map(hex)).toEqual([
    ...["00", "7f", "cc80", "ccff", "cd0100", "cdffff", "ce00010000"],
  ]);
  expect(hex("abc")).toBe("a3616263");
  expect(hex("x".repeat(31))).toStartWith("bf78");
  expect(hex("x".repeat(32))).toStartWith("d92078");
  expect(hex("x".repeat(256))).toStartWith("da010078");
  expect(hex("x".repeat(65_536))).toStartWith("db0001000078");
  expect(hex(new Map([["a", 1]]))).toBe("81a16101");
  expect(hex(Array.from({ length: 16 }, () => 1))).toStartWith("dc001001");
  expect(hex({ seconds: 1, nanoseconds: 2 })).toBe("d7000000000100000002");
});

test("Fluentd: Forward mode with time, record and chunk", () => {
  const bytes = fluentdBatch(
    [message("hi")],
    { ...origin, tag: "t", attributes: {} },
    {
      subSecond: false,
      chunkId: "c",
    },
  );
  const text = bytes.toString("latin1");
  expect(text).toStartWith("\x93\xa1t\x91\x92\xce");
  expect(text).toContain("\xaecontainer_name\xa4/web\xa6source\xa6stdout\xa3log\xa2hi");
  expect(text).toEndWith("\x82\xa4size\x01\xa5chunk\xa1c");
  expect(fluentdAck("c").toString("latin1")).toBe("\x81\xa3ack\xa1c");
});

const gelf: GelfTarget = {
  kind: "gelf",
  address: { transport: "udp", host: "h", port: 1 },
  compression: "none",
  level: 1,
};

test("GELF 1.1 fields, compressed as asked", async () => {
  const payload = gelfMessage(message("hello"), origin);
  expect(JSON.parse(payload.toString())).toEqual({
    ...{ version: "1.1", host: "host1", short_message: "hello", timestamp: 1767232984.056 },
    ...{ level: 6, _command: "sh -c x", _container_id: "ab".repeat(32), _container_name: "web" },
    ...{ _created: "2025-12-31T23:59:59.000000001Z", _image_id: "sha256:12" },
    ...{ _image_name: "busybox", _tag: "the tag", "_com.x/y": "z" },
  });
  const packed = async (compression: GelfTarget["compression"]): Promise<Uint8Array> =>
    Uint8Array.from(await compressGelf(payload, { ...gelf, compression }));
  expect(Buffer.from(gunzipSync(await packed("gzip"))).toString()).toBe(payload.toString());
  expect(Buffer.from(inflateSync(await packed("zlib"))).toString()).toBe(payload.toString());
});

test("GELF chunks: magic, id, number, count; at most 128", () => {
  const id = Buffer.from("12345678");
  expect(gelfDatagrams(Buffer.alloc(GELF_CHUNK_BYTES), id)?.length).toBe(1);
  const payload = Buffer.from(Array.from({ length: 3000 }, (_, index) => index & 0xff));
  const chunks = gelfDatagrams(payload, id) ?? [];
  expect(chunks.map((chunk) => chunk.subarray(0, 12).toString("latin1"))).toEqual(
    [0, 1, 2].map((index) => `\x1e\x0f12345678${String.fromCharCode(index)}\x03`),
  );
  expect(Buffer.concat(chunks.map((chunk) => chunk.subarray(12)))).toEqual(payload);
  expect(gelfDatagrams(Buffer.alloc(1408 * 128), id)?.length).toBe(128);
  expect(gelfDatagrams(Buffer.alloc(1408 * 128 + 1), id)).toBeUndefined();
});
