import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "../base/mod.ts";
import { chainIdOf, chainIdsOf } from "./chain-id.ts";
import { decodeImageConfig, decodeIndex, decodeManifest, encodeJson } from "./manifest.ts";
import { hostPlatform, parsePlatform, platformScore } from "./platform.ts";

const descriptor = { mediaType: "x", digest: digestOf("x"), size: 1 };
const manifest = { schemaVersion: 2, config: descriptor, layers: [descriptor] };
const decode = (value: unknown) => decodeManifest(encodeJson(value), "manifest");

describe("documents", () => {
  test("a good manifest and unknown fields are taken", () => {
    expect(decode({ ...manifest, future: 1 })).toMatchObject({ layers: [descriptor] });
    expect(
      decodeIndex(encodeJson({ schemaVersion: 2, manifests: [descriptor] }), "i").manifests.length,
    ).toBe(1);
  });

  test.each([
    [{ ...manifest, schemaVersion: 1 }, /schemaVersion is not 2/],
    [{ ...manifest, manifests: [] }, /both layers and manifests/],
    [{ ...manifest, config: null }, /manifest: config is not a JSON object/],
    [{ ...manifest, layers: {} }, /layers is not a list/],
    [{ ...manifest, layers: [{ ...descriptor, digest: "md5:1" }] }, /layers\[0\]: digest/],
    [{ ...manifest, layers: [{ ...descriptor, size: -1 }] }, /layers\[0\]: size/],
    [
      { ...manifest, config: { ...descriptor, annotations: { a: 1 } } },
      /annotation a is not a text/,
    ],
    [{ ...manifest, layers: Array.from({ length: 1001 }, () => descriptor) }, /more than 1000/],
    [[], /not a JSON object/],
  ])("%j is refused", (value, message) => {
    expect(() => decode(value)).toThrow(message);
  });

  test("nesting is bounded", () => {
    const deep = Buffer.from(`${"[".repeat(5000)}${"]".repeat(5000)}`);
    expect(() => decodeManifest(deep, "m")).toThrow(/nested too deeply/);
  });

  test("a configuration without layers or history is one", () => {
    const config = decodeImageConfig(
      encodeJson({ rootfs: { type: "layers", diff_ids: null } }),
      "c",
    );
    expect(config).toMatchObject({
      os: "",
      architecture: "",
      rootfs: { diff_ids: [] },
      history: [],
    });
    expect(() => decodeImageConfig(encodeJson({}), "c")).toThrow(/rootfs/);
    const bad = { rootfs: { type: "layers", diff_ids: ["x"] } };
    expect(() => decodeImageConfig(encodeJson(bad), "c")).toThrow(/diff_ids\[0\]/);
  });

  test("any JSON is decoded or refused", () => {
    const property = fc.property(fc.json(), (json) => {
      for (const attempt of [decodeManifest, decodeIndex, decodeImageConfig]) {
        try {
          attempt(Buffer.from(json), "x");
        } catch (error) {
          expect(error).toMatchObject({ kind: "invalid_argument" });
        }
      }
    });
    fc.assert(property, { numRuns: 500 });
  });
});

describe("chain ids", () => {
  test("the first is the diff id, each next one hashes its parent and itself", () => {
    const [a, b] = [digestOf("a"), digestOf("b")];
    expect(chainIdOf(null, a)).toBe(a);
    expect(chainIdsOf([a, b])).toEqual([a, digestOf(`${a} ${b}`)]);
  });
});

describe("platforms", () => {
  test("texts", () => {
    expect(parsePlatform("")).toEqual(hostPlatform());
    expect(parsePlatform("linux/x86_64")).toEqual({ os: "linux", architecture: "amd64" });
    expect(parsePlatform("linux/arm/v6")).toEqual({
      os: "linux",
      architecture: "arm",
      variant: "v6",
    });
    expect(() => parsePlatform("a/b/c/d")).toThrow(/invalid platform/);
    expect(() => parsePlatform("linux/")).toThrow(/invalid platform/);
  });

  test("the exact variant is best, another architecture nothing", () => {
    const wanted = { os: "linux", architecture: "arm64" };
    expect(platformScore(wanted, { ...wanted, variant: "v8" })).toBe(3);
    expect(platformScore(wanted, { os: "linux", architecture: "amd64" })).toBe(0);
    expect(
      platformScore(
        { os: "linux", architecture: "amd64" },
        { os: "windows", architecture: "amd64" },
      ),
    ).toBe(0);
  });
});
