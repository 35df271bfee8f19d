import { expect, test } from "bun:test";
import type { MountEntry } from "../linux/mod.ts";
import { plannedPropagation, usablePropagation } from "./bind-propagation.ts";

const ROOT = "/var/lib/naru";

test("a bind that meets the engine's data follows its unmounts", () => {
  expect(plannedPropagation("", "/srv", ROOT)).toBe("rprivate");
  expect(plannedPropagation("shared", "/srv", ROOT)).toBe("shared");
  for (const source of ["/", "/var/lib", ROOT, `${ROOT}/layers`]) {
    expect(plannedPropagation("", source, ROOT)).toBe("rslave");
    expect(plannedPropagation("rshared", source, ROOT)).toBe("rshared");
    expect(() => plannedPropagation("private", source, ROOT)).toThrow("rslave");
  }
  expect(plannedPropagation("", "/var/lib/naru-other", ROOT)).toBe("rprivate");
});

test("what the source's mount cannot give is refused", () => {
  const mount = (target: string, ...propagation: string[]): MountEntry =>
    ({ target, propagation }) as unknown as MountEntry;
  const mounts =
    (...more: MountEntry[]) =>
    () => [mount("/"), ...more];
  const usable = (asked: string, ...more: MountEntry[]): string =>
    usablePropagation(asked, "/tmp", ROOT, mounts(...more));
  expect(usable("rprivate")).toBe("rprivate");
  expect(usable("rshared", mount("/tmp", "shared:1"))).toBe("rshared");
  expect(usable("slave", mount("/tmp", "shared:1"))).toBe("slave");
  expect(usable("rslave", mount("/tmp", "master:1"))).toBe("rslave");
  expect(() => usable("rshared", mount("/tmp", "master:1"))).toThrow(
    "path /tmp is mounted on /tmp but it is not a shared mount",
  );
  expect(() => usable("rslave", mount("/tm", "shared:1"))).toThrow(
    "path /tmp is mounted on / but it is not a shared or slave mount",
  );
  // What is mounted over a shared mount hides it.
  expect(() => usable("shared", mount("/tmp", "shared:1"), mount("/tmp"))).toThrow("not a shared");
  expect(usablePropagation("rslave", "/", ROOT, mounts())).toBe("rprivate");
});
