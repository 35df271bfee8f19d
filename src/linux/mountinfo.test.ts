import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mountAt, mountsBelow, parseMountinfo } from "./mountinfo.ts";

const TEXT = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
36 35 98:0 /mnt1 /mnt/with\\040blank\\134x rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue
40 27 0:40 / /run/a rw shared:7 - tmpfs tmp rw
41 40 0:41 / /run/a/b rw - tmpfs tmp rw
42 27 0:42 / /run/ab rw - tmpfs tmp rw
43 27 0:43 / /run/a ro - overlay overlay rw,lowerdir=/x:/y,upperdir=/u
garbage
`;

describe("mountinfo", () => {
  test("fields, optional fields and escapes are read", () => {
    expect(parseMountinfo(TEXT)[1]).toEqual({
      id: 36,
      parentId: 35,
      deviceMajor: 98,
      deviceMinor: 0,
      root: "/mnt1",
      target: "/mnt/with blank\\x",
      options: ["rw", "noatime"],
      propagation: ["master:1", "propagate_from:2"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    });
  });

  test("below means the folder and what is in it, the newest first", () => {
    const mounts = parseMountinfo(TEXT);
    expect(mounts.length).toBe(6);
    expect(mountsBelow("/run/a", mounts).map(({ id }) => id)).toEqual([43, 41, 40]);
    expect(mountsBelow("/", mounts).length).toBe(6);
    expect(mountAt("/run/a", mounts)?.type).toBe("overlay");
  });

  test("every path survives the kernel's escaping", () => {
    const escaped = (path: string): string =>
      path.replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
    const path = fc.string({
      unit: fc.constantFrom("a", " ", "\t", "\n", "\\", "#", "0", "é", "/"),
    });
    fc.assert(
      fc.property(path, (tail) => {
        const line = `1 2 3:4 / /${escaped(tail)} rw - t s rw`;
        expect(parseMountinfo(line)[0]?.target).toBe(`/${tail}`);
      }),
      { verbose: true },
    );
  });
});
