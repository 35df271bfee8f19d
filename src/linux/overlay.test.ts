import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isNaruError } from "../base/mod.ts";
import { OVERLAY_LOWER_MAX, plainOverlayOptions, planOverlay } from "./overlay.ts";

const writable = { upper: "/r/u", work: "/r/w" };
const layers = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, index) => `/var/lib/naru/layers/${String(index).padStart(12, "0")}`,
  );

describe("planOverlay", () => {
  test("few layers go in one page of options, extra options last", () => {
    const plan = planOverlay(
      { lower: ["/l/b", "/l/a"], writable, target: "/m", options: ["index=off", "volatile"] },
      { lowerdirPlus: true },
    );
    expect(plan).toEqual({
      kind: "mount",
      options: "lowerdir=/l/b:/l/a,upperdir=/r/u,workdir=/r/w,index=off,volatile",
    });
  });

  test("colons, commas and backslashes of paths are escaped", () => {
    const plan = planOverlay({ lower: ["/a:b,c\\d"], target: "/m" }, { lowerdirPlus: true });
    expect(plan).toEqual({ kind: "mount", options: "lowerdir=/a\\:b\\,c\\\\d" });
  });

  test("many go layer by layer, or by relative names on an old kernel", () => {
    const request = { lower: layers(200), writable, target: "/m" };
    expect(planOverlay(request, { lowerdirPlus: true }).kind).toBe("layer-by-layer");
    const relative = planOverlay(request, { lowerdirPlus: false });
    if (relative.kind !== "relative") throw new Error(relative.kind);
    expect(relative.folder).toBe("/var/lib/naru/layers");
    expect(relative.options).toStartWith("lowerdir=000000000000:000000000001:");
    expect(relative.options.length).toBeLessThan(4096);
  });

  test("what the kernel cannot hold is refused with its count", () => {
    for (const [count, lowerdirPlus] of [
      [0, true],
      [OVERLAY_LOWER_MAX + 1, true],
      [450, false],
    ] as const) {
      try {
        planOverlay({ lower: layers(count), target: "/m" }, { lowerdirPlus });
        throw new Error("planned");
      } catch (error) {
        expect(isNaruError(error, "unsupported")).toBe(true);
        expect(isNaruError(error) ? error.details["layers"] : undefined).toBe(count);
      }
    }
  });
});

test("features that this kernel has switched on are switched off for our mounts", () => {
  const folder = mkdtempSync("/tmp/naru-overlay-");
  try {
    writeFileSync(`${folder}/index`, "N\n");
    writeFileSync(`${folder}/metacopy`, "Y\n");
    expect(plainOverlayOptions(folder)).toEqual(["metacopy=off"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
