import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  byteText,
  encodeTarEntry,
  readTar,
  TAR_LIMITS,
  type TarEntry,
  type TarEntryInput,
  TarParser,
  tarPadding,
  tarTrailer,
  writeTar,
} from "./mod.ts";

interface Seen {
  entry: TarEntry;
  content: string;
}

/** Parses in chunks of `step` bytes. */
function parse(archive: Uint8Array, step = archive.byteLength || 1, limits = TAR_LIMITS): Seen[] {
  const seen: Seen[] = [];
  const parser = new TarParser(
    {
      entry: (entry) => void seen.push({ entry, content: "" }),
      data: (bytes, offset) => {
        const last = seen.at(-1) as Seen;
        last.content = last.content.padEnd(offset, "\0") + Buffer.from(bytes).toString("latin1");
      },
      entryEnd: () => {
        const last = seen.at(-1) as Seen;
        last.content = last.content.padEnd(last.entry.sizeBytes, "\0");
      },
    },
    limits,
  );
  for (let at = 0; at < archive.byteLength; at += step)
    parser.push(archive.subarray(at, at + step));
  parser.end();
  return seen;
}

function file(name: string, content: string, input: Partial<TarEntryInput> = {}): Buffer {
  const sizeBytes = content.length;
  const header = encodeTarEntry({ name, sizeBytes, ...input });
  return Buffer.concat([header, Buffer.from(content, "latin1"), tarPadding(sizeBytes)]);
}

const archive = (...parts: Uint8Array[]): Buffer => Buffer.concat([...parts, tarTrailer()]);

const inputs = fc.record({
  name: fc.oneof(
    fc.stringMatching(/^[a-z/._-]{1,40}$/),
    fc.string({ minLength: 1, maxLength: 300 }).map(byteText),
  ),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 2 ** 32 - 2 })),
  gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
  mtimeNs: fc.oneof(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 20n }), fc.constant(0n)),
  content: fc.string({ maxLength: 2000 }).map(byteText),
  xattrs: fc.dictionary(fc.stringMatching(/^user\.[a-z]{1,9}$/), fc.string().map(byteText)),
});

describe("tar", () => {
  test("what is written is read back, in chunks of any size", () => {
    const property = fc.property(
      fc.array(inputs, { maxLength: 5 }),
      fc.integer({ min: 1, max: 3000 }),
      (files, step) => {
        const wanted = files
          .filter(({ name }) => !name.includes("\0") && !name.endsWith("/"))
          .map((input) => ({ ...input, xattrs: new Map(Object.entries(input.xattrs)) }));
        const bytes = archive(
          ...wanted.map(({ content, ...input }) => file(input.name, content, input)),
        );
        const seen = parse(bytes, step);
        expect(seen.map(({ entry, content }) => ({ ...entry, content }))).toEqual(
          wanted.map((input) => ({
            ...input,
            type: "file",
            linkName: "",
            sizeBytes: input.content.length,
            deviceMajor: 0,
            deviceMinor: 0,
            sparse: false,
          })),
        );
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test("mutated archives end in entries or in a clean error, never in anything else", () => {
    const base = archive(
      file("a/b", "hello"),
      file("long/".repeat(40), "x", { xattrs: new Map([["user.a", "b"]]) }),
      encodeTarEntry({ name: "dev", type: "char", deviceMajor: 5, deviceMinor: 70_000_000 }),
      encodeTarEntry({ name: "link", type: "symlink", linkName: "../x".repeat(60) }),
    );
    const mutation = fc.array(
      fc.tuple(fc.nat(base.byteLength - 1), fc.integer({ min: 0, max: 255 })),
      { minLength: 1, maxLength: 6 },
    );
    const property = fc.property(mutation, fc.nat(base.byteLength), (edits, cut) => {
      const bytes = Buffer.from(base.subarray(0, cut));
      for (const [at, value] of edits) if (at < cut) bytes[at] = value;
      try {
        parse(bytes, 700);
      } catch (error) {
        expect(error).toMatchObject({ kind: "invalid_argument" });
      }
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test("agrees with the system's tar about its formats", async () => {
    const root = mkdtempSync(join(tmpdir(), "naru-tar-"));
    try {
      const name = `${"d".repeat(60)}-${"ü".repeat(60)}`;
      writeFileSync(join(root, name), "content");
      for (const format of ["gnu", "pax", "v7", "ustar"]) {
        const short = format === "v7" || format === "ustar" ? "s" : name;
        writeFileSync(join(root, "s"), "content");
        const done = Bun.spawnSync(["tar", `--format=${format}`, "-C", root, "-cf", "-", short]);
        expect(done.success).toBe(true);
        const [only] = parse(done.stdout, 777);
        expect(only?.entry.name).toBe(byteText(short));
        expect(only?.content).toBe("content");
      }
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

  test.each(["gnu", "pax 0.0", "pax 0.1", "pax 1.0"])(
    "reads sparse files of format %s",
    (format) => {
      const root = mkdtempSync(join(tmpdir(), "naru-sparse-"));
      try {
        const [name, version] = format.split(" ");
        // Many pieces, so that GNU's format needs extension blocks.
        const script = `truncate -s 3M f; for i in $(seq 0 29); do printf "piece$i" | dd of=f bs=1 seek=$((i*98304)) conv=notrunc status=none; done; tar -S --format=${name} ${version === undefined ? "" : `--sparse-version=${version}`} -cf - f`;
        const made = Bun.spawnSync(["sh", "-c", script], { cwd: root });
        expect(made.success).toBe(true);
        const [only] = parse(made.stdout, 1000);
        expect(only?.entry).toMatchObject({ name: "f", sizeBytes: 3 * 1024 * 1024, sparse: true });
        expect(only?.content.length).toBe(3 * 1024 * 1024);
        for (const index of [0, 1, 29]) {
          const text = `piece${index}`;
          expect(only?.content.slice(index * 98_304, index * 98_304 + text.length)).toBe(text);
        }
        expect(made.stdout.byteLength).toBeLessThan(1024 * 1024);
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
    },
  );

  test("a global pax header holds for the entries after it", () => {
    const global = encodeTarEntry({ name: "x", sizeBytes: 0, mtimeNs: 1n });
    global[156] = "g".charCodeAt(0); // the pax header of `mtimeNs: 1n` made global
    const bytes = archive(fixSum(Buffer.from(global)), file("a", "1"), file("b", "2"));
    expect(parse(bytes).map(({ entry }) => [entry.name, entry.mtimeNs])).toEqual([
      ["x", 1n],
      ["a", 1n],
      ["b", 1n],
    ]);
  });

  test("lies are told apart and name the entry", () => {
    const plain = archive(file("first", "1"), file("second", "2222"));
    expect(() => parse(plain.subarray(0, 1024 + 514))).toThrow(/entry "second": .*too early/);
    expect(() => parse(plain.subarray(0, 600))).not.toThrow(); // `first` is whole, only padding lacks
    expect(() => parse(plain.subarray(0, 1100))).toThrow(/too early/);
    expect(() => parse(Buffer.concat([plain, Buffer.from("garbage".padEnd(512))]))).toThrow(
      /after the end/,
    );
    expect(() => parse(Buffer.alloc(512, "x"))).toThrow(/invalid tar archive/);
    const bad = Buffer.from(plain);
    bad[1024 + 100] = 0x39;
    expect(() => parse(bad)).toThrow(/entry "first": .*checksum/);
    expect(parse(Buffer.alloc(0))).toEqual([]);
    expect(parse(Buffer.alloc(10_240))).toEqual([]);
  });

  test("limits hold", () => {
    const two = archive(file("a", "1"), file("b", "2"));
    expect(() => parse(two, 512, { ...TAR_LIMITS, entriesMax: 1 })).toThrow(/more than 1 entries/);
    expect(() => parse(two, 512, { ...TAR_LIMITS, totalBytesMax: 1 })).toThrow(/more than 1 bytes/);
    const long = archive(file("n".repeat(300), "1"));
    expect(() => parse(long, 512, { ...TAR_LIMITS, nameBytesMax: 255 })).toThrow(/more than 255/);
    expect(() => parse(long, 512, { ...TAR_LIMITS, metaBytesMax: 100 })).toThrow(/more than 100/);
    const huge = encodeTarEntry({ name: "x", sizeBytes: 1e14 });
    expect(() => parse(archive(huge))).toThrow(/bytes together/);
  });

  test("the pull reader streams, skips what is not read and expands nothing by itself", async () => {
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      const files = [
        { entry: { name: "a", sizeBytes: 5 }, content: [Buffer.from("he"), Buffer.from("llo")] },
        { entry: { name: "d", type: "directory" as const } },
        { entry: { name: "b", sizeBytes: 3 }, content: [Buffer.from("abc")] },
      ];
      for await (const chunk of writeTar(files)) yield chunk;
    }
    const seen: string[] = [];
    for await (const { entry, content } of readTar(source())) {
      seen.push(entry.name);
      if (entry.name !== "b") continue;
      for await (const chunk of content) seen.push(Buffer.from(chunk).toString());
    }
    expect(seen).toEqual(["a", "d", "b", "abc"]);
  });

  test("stopping early ends the source", async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield file("a", "x");
      } finally {
        ended = true;
      }
    }
    for await (const { entry } of readTar(source())) {
      expect(entry.name).toBe("a");
      break;
    }
    expect(ended).toBe(true);
  });
});

/** Writes the right checksum into the first header of `bytes`. */
function fixSum(bytes: Buffer): Buffer {
  bytes.fill(0x20, 148, 156);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
