import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { digestOf, isNaruError } from "../../src/base/mod.ts";
import { lgetxattr } from "../../src/linux/mod.ts";
import { rejection, rejectionMessage } from "../fakes/rejection.ts";
import {
  archive,
  canary,
  entry,
  expectClean,
  layers,
  root,
  stream,
  unpack,
  useStore,
} from "./storage-fixture.ts";

/** Real files with owners, devices and mounts: needs root. */
useStore();

describe("hostile archives", () => {
  const up = "../".repeat(20);
  const cases: [string, Buffer, RegExp][] = [
    ["dots", archive(entry({ name: `${up}${canary}/new` }, "x")), /".*" leaves the layer/],
    ["dots inside", archive(entry({ name: "a/../../../b" }, "x")), /leaves the layer/],
    [
      "an absolute link as folder",
      archive(
        entry({ name: "l", type: "symlink", linkName: canary }),
        entry({ name: "l/new" }, "x"),
      ),
      /entry "l.*": .*symbolic link/,
    ],
    [
      "a climbing link as folder",
      archive(
        entry({ name: "l", type: "symlink", linkName: `${up}${canary.slice(1)}` }),
        entry({ name: "l/file" }, "x"),
      ),
      /symbolic link/,
    ],
    [
      "links through links",
      archive(
        entry({ name: "a", type: "symlink", linkName: "." }),
        entry({ name: "b", type: "symlink", linkName: `a/${up}` }),
        entry({ name: `b${canary}/new` }, "x"),
      ),
      /symbolic link/,
    ],
    [
      "a hard link out",
      archive(entry({ name: "h", type: "hardlink", linkName: `${up}${canary}/file` })),
      /leaves/,
    ],
    [
      "an absolute hard link",
      archive(entry({ name: "h", type: "hardlink", linkName: `${canary}/file` })),
      /hard link to something/,
    ],
    [
      "a hard link through a link",
      archive(
        entry({ name: "l", type: "symlink", linkName: canary }),
        entry({ name: "h", type: "hardlink", linkName: "l/file" }),
      ),
      /symbolic link/,
    ],
    [
      "a link loop",
      archive(entry({ name: "l", type: "symlink", linkName: "l" }), entry({ name: "l/x" }, "x")),
      /symbolic link/,
    ],
    ["a whiteout of the parent", archive(entry({ name: "a/.wh..." }, "")), /whiteout/],
    [
      "a file as folder",
      archive(entry({ name: "f" }, "x"), entry({ name: "f/g" }, "x")),
      /not a directory/,
    ],
    ["a root that is a file", archive(entry({ name: "/", type: "fifo" })), /root/],
    ["an endless name", archive(entry({ name: "n".repeat(300) }, "x")), /too long/],
    [
      "a size that lies",
      archive(entry({ name: "s", sizeBytes: 1_000_000 }, "x")),
      /entry "s": .*too early/,
    ],
    [
      "a cut archive",
      archive(entry({ name: "s" }, "x".repeat(2000))).subarray(0, 1100),
      /too early/,
    ],
    [
      "garbage at the end",
      Buffer.concat([archive(entry({ name: "s" }, "x")), Buffer.alloc(512, "g")]),
      /after the end/,
    ],
    ["no archive at all", Buffer.from("hello".repeat(1000)), /invalid tar/],
    [
      "cut gzip",
      gzipSync(archive(entry({ name: "s" }, "abcdef".repeat(9000)))).subarray(0, 60),
      /invalid gzip/,
    ],
    [
      "cut zstd",
      zstdCompressSync(archive(entry({ name: "s" }, "abcdef".repeat(9000)))).subarray(0, 60),
      /too early/,
    ],
  ];

  test.each(cases)("%s is refused and touches nothing outside", async (_name, bytes, message) => {
    const before = readdirSync(join(root, "layers/l"));
    const job = layers.apply(null, stream(bytes));
    expect(await rejection(job)).toMatchObject({ kind: "invalid_argument" });
    expect(await rejectionMessage(job)).toMatch(message);
    expect(readdirSync(join(root, "layers/l"))).toEqual(before);
    await expectClean();
  });

  test("an absolute name lands inside the layer", async () => {
    const { dir } = await unpack(archive(entry({ name: `${canary}/abs` }, "inside")));
    expect(readFileSync(join(dir, canary, "abs"), "utf8")).toBe("inside");
    await expectClean();
  });

  test("a setting of another overlay is not taken over", async () => {
    const xattrs = new Map([["trusted.overlay.redirect", "/.."]]);
    const { dir } = await unpack(archive(entry({ name: "d/", type: "directory", xattrs })));
    expect(lgetxattr(join(dir, "d"), "trusted.overlay.redirect")).toBeUndefined();
  });

  test("a digest that differs is refused", async () => {
    const bytes = archive(entry({ name: "f" }, "digest"));
    const job = layers.apply(null, stream(bytes), { expectDiffId: digestOf("other") });
    expect(await rejectionMessage(job)).toMatch(/has digest sha256:.* instead of sha256:/);
    await expectClean();
  });

  test("random trees of links never write outside", async () => {
    const names = [
      "a",
      "b",
      "a/b",
      "b/a",
      "a/b/c",
      "../x",
      "/",
      ".",
      `${up}${canary}/file`,
      canary,
      "a/.wh.b",
      ".wh.a",
      "a/.wh..wh..opq",
    ];
    const random = fc.record({
      name: fc.constantFrom(...names),
      type: fc.constantFrom(
        "file",
        "directory",
        "symlink",
        "hardlink",
        "fifo",
      ) as fc.Arbitrary<"file">,
      linkName: fc.constantFrom(...names, "..", "", "c"),
      mode: fc.constantFrom(0o644, 0o4755, 0o000),
    });
    const property = fc.asyncProperty(fc.array(random, { maxLength: 8 }), async (entries) => {
      const bytes = archive(
        ...entries.map((input) => entry(input, input.type === "file" ? "x" : "")),
      );
      try {
        await layers.apply(null, stream(bytes));
      } catch (error) {
        if (!isNaruError(error, "invalid_argument")) throw error;
      }
      expect(readdirSync(canary)).toEqual(["file"]);
      expect(readFileSync(join(canary, "file"), "utf8")).toBe("untouched");
      expect(statSync(join(canary, "file")).nlink).toBe(1);
    });
    await fc.assert(property, { numRuns: 150 });
    await expectClean();
  }, 60_000);
});
