import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { encodeTarEntry, type TarEntryInput, tarPadding } from "../../src/oci/mod.ts";

/** An archive that must be refused with a message that matches, whatever way it comes in. */
export interface HostileTar {
  readonly name: string;
  readonly bytes: Buffer;
  readonly says: RegExp;
}

/** One entry and its content; `sizeBytes` may lie. */
export function entry(input: TarEntryInput, content: string | Uint8Array = ""): Buffer {
  const data = Buffer.from(content);
  const sizeBytes = input.sizeBytes ?? data.length;
  return Buffer.concat([encodeTarEntry({ ...input, sizeBytes }), data, tarPadding(data.length)]);
}

export function tar(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A pax header with these records, whatever they claim, in front of the next entry. */
export function pax(...records: readonly string[]): Buffer {
  const body = Buffer.from(records.join(""), "latin1");
  const block = Buffer.from(encodeTarEntry({ name: "PaxHeaders/x", sizeBytes: body.length }));
  block[156] = "x".charCodeAt(0);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return Buffer.concat([block, body, tarPadding(body.length)]);
}

/** `LENGTH key=value\n` with the right length. */
export function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) {
    length = String(length).length + rest.length;
  }
  return `${length}${rest}`;
}

type Case = readonly [name: string, bytes: Buffer, says: RegExp];

/** Cut off or overwritten, compressed or not, and what never was an archive. */
function damagedArchives(): Case[] {
  const good = tar(entry({ name: "good" }, "content ".repeat(20_000)));
  const gzip = gzipSync(good);
  const zstd = Buffer.from(zstdCompressSync(good));
  const brokenGzip = Buffer.from(gzip);
  brokenGzip.fill(0xaa, 40, 60);
  const brokenZstd = Buffer.from(zstd);
  brokenZstd.fill(0xaa, 10, 40);
  return [
    ["cut in a header", good.subarray(0, 300), /early|invalid/],
    ["cut in the content", good.subarray(0, 5000), /"good".*early/],
    ["cut gzip", gzip.subarray(0, gzip.length - 40), /gzip|early/],
    ["corrupt gzip", brokenGzip, /gzip|invalid/],
    ["cut zstd", zstd.subarray(0, zstd.length - 20), /zstd|early/],
    ["corrupt zstd", brokenZstd, /zstd|invalid/],
    ["no archive", Buffer.from("hello, this is no archive. ".repeat(100)), /invalid tar|archive/],
  ];
}

/** File systems that try to reach `canary`, a folder of the host, or lie. */
export function hostileLayers(canary: string): readonly HostileTar[] {
  const up = "../".repeat(24);
  const file = (name: string): Buffer => entry({ name }, "evil");
  const link = (name: string, linkName: string): Buffer =>
    entry({ name, type: "symlink", linkName });
  const hard = (name: string, linkName: string): Buffer =>
    entry({ name, type: "hardlink", linkName });
  const repeated = file("f").subarray(0, 512);
  const wrongSum = Buffer.from(repeated);
  wrongSum[0] = 0x41;
  const cases: Case[] = [
    ["dots", tar(file(`${up}${canary.slice(1)}/new`)), /new|leaves/],
    ["dots in the middle", tar(file("a/b/../../../../x")), /leaves/],
    ["a symlink swapped in", tar(file("d/x"), link("d", canary), file("d/new")), /d\/new|d\b/],
    ["an absolute symlink", tar(link("l", canary), file("l/new")), /l\/new|symbolic/],
    ["a climbing symlink", tar(link("l", `${up}${canary.slice(1)}`), file("l/new")), /symbolic/],
    ["links through links", tar(link("a", "."), link("b", `a/${up}`), file("b/new")), /symbolic/],
    ["a hard link out", tar(hard("h", `${up}${canary.slice(1)}/file`)), /"h"|leaves/],
    ["an absolute hard link", tar(hard("h", `${canary}/file`)), /"h"|hard link/],
    ["a hard link through a link", tar(link("l", canary), hard("h", "l/file")), /"h"|symbolic/],
    ["a hard link to nothing", tar(hard("h", "nothing")), /"h"/],
    ["a whiteout through a link", tar(link("l", canary), file("l/.wh.file")), /symbolic|l\//],
    ["a whiteout of the parent", tar(file("a/.wh...")), /whiteout/],
    ["a file as a folder", tar(file("f"), file("f/g")), /f\/g|not a directory/],
    ["a name of 5000 bytes", tar(file(`${"n".repeat(90)}/`.repeat(55) + "x")), /name|long/],
    ["a part of 300 bytes", tar(file("n".repeat(300))), /too long/],
    [
      "a size that lies, too large",
      tar(entry({ name: "s", sizeBytes: 10 ** 9 }, "x")),
      /"s".*early/,
    ],
    [
      "a size beyond every disk",
      tar(entry({ name: "s", sizeBytes: 2 ** 50 }, "x")),
      /"s"|large|size/,
    ],
    [
      "a size that lies, too small",
      tar(entry({ name: "s", sizeBytes: 1 }, "y".repeat(2000))),
      /invalid|check|header/,
    ],
    ["a wrong checksum", Buffer.concat([wrongSum, Buffer.alloc(1024)]), /checksum|invalid tar/],
    ["pax: a size of nonsense", tar(pax(record("size", "many")), file("p")), /size|pax/],
    ["pax: a negative size", tar(pax(record("size", "-1")), file("p")), /size|pax/],
    ["pax: a size that lies", tar(pax(record("size", "99999999")), file("p")), /"p"|early/],
    ["pax: a record beyond its end", tar(pax("99 path=x\n"), file("p")), /pax/],
    ["pax: no length", tar(pax("path=x\n"), file("p")), /pax/],
    ["pax: a path that climbs", tar(pax(record("path", `${up}x`)), file("p")), /leaves/],
    [
      "pax: a zero byte in the path",
      tar(pax(record("path", "a\0b")), file("p")),
      /path|name|zero|NUL/i,
    ],
    ["pax: for nothing", tar(pax(record("path", "x"))), /early|pax|invalid/],
    ...damagedArchives(),
  ];
  return cases.map(([name, bytes, says]) => ({ name, bytes, says }));
}

/** File systems that are odd but no attack: what they hold stays inside. */
export function harmlessLayers(canary: string): readonly { name: string; bytes: Buffer }[] {
  return [
    { name: "an absolute name", bytes: tar(entry({ name: `${canary}/new` }, "inside")) },
    {
      name: "a link that points outside",
      bytes: tar(entry({ name: "l", type: "symlink", linkName: canary })),
    },
    {
      name: "device nodes",
      bytes: tar(
        entry({ name: "disk", type: "block", deviceMajor: 254, deviceMinor: 0, mode: 0o666 }),
        entry({ name: "mem", type: "char", deviceMajor: 1, deviceMinor: 1, mode: 0o666 }),
      ),
    },
    {
      name: "the same entry over and over",
      bytes: tar(
        ...Array.from({ length: 50 }, (_, at) => [
          entry({ name: "same" }, `${at}`),
          entry({ name: "same", type: "symlink", linkName: canary }),
          entry({ name: "same", type: "directory" }),
        ]).flat(),
        entry({ name: "same/x" }, "inside"),
      ),
    },
  ];
}
