import { describe, expect, test } from "bun:test";
import { emptyConfig, emptyHostConfig } from "../../test/fakes/bodies.ts";
import type { ContainerConfig, HostConfig, Mount } from "../spec/mod.ts";
import { inMountOrder, parseBind, planMounts } from "./mounts-plan.ts";

function plan(host: Partial<HostConfig>, config: Partial<ContainerConfig> = {}) {
  return planMounts(
    { ...emptyConfig(), ...config },
    { ...emptyHostConfig(), ...host },
    {
      dataRoot: "/var/lib/naru",
      mountsOf: () => [
        { ...parseBind("/from:/shared"), anonymous: true },
        parseBind("other:/data:ro"),
      ],
    },
  );
}

describe("binds", () => {
  test("a path, a volume, an anonymous one, and their modes", () => {
    expect(parseBind("/a/../b:/c:ro,z")).toMatchObject({
      type: "bind",
      source: "/b",
      destination: "/c",
      readOnly: true,
      mode: "ro,z",
      propagation: "",
    });
    expect(parseBind("vol:/c/")).toMatchObject({
      type: "volume",
      volumeName: "vol",
      destination: "/c",
      copyUp: true,
    });
    expect(parseBind("vol:/c:nocopy").copyUp).toBe(false);
    expect(parseBind("/c")).toMatchObject({ type: "volume", volumeName: "", anonymous: true });
    expect(parseBind("/a:/c:rshared").propagation).toBe("rshared");
  });
  for (const bad of [
    "",
    ":",
    "/a:",
    ":/a",
    "/a:/b:ro:x",
    "/a:b",
    "/a:/",
    "/a:/b:fast",
    "/a:/b:ro,rw",
    "v:/b:shared",
    "/a:/b:nocopy",
  ]) {
    test(`refuses ${JSON.stringify(bad)}`, () => expect(() => parseBind(bad)).toThrow(/invalid/));
  }
});

test("one mount per destination: a bind wins over volumes-from and over the image's volume", () => {
  const mounts = plan(
    { VolumesFrom: ["web:ro"], Binds: ["/x:/shared"] },
    { Volumes: { "/shared": {}, "/own": {} } },
  );
  expect(mounts.map((mount) => [mount.destination, mount.origin, mount.readOnly])).toEqual([
    ["/shared", "binds", false],
    ["/data", "volumes-from", true],
    ["/own", "image", false],
  ]);
});

test("a bind is private, but one of the engine's data follows its unmounts", () => {
  const mounts = plan({ Binds: ["/x:/x", "/:/host:ro", "/y:/y:rshared"] });
  expect(mounts.map((mount) => mount.propagation)).toEqual(["rprivate", "rslave", "rshared"]);
});

test("the same destination twice is refused", () => {
  expect(() => plan({ Binds: ["/a:/x", "/b:/x/"] })).toThrow("Duplicate mount point: /x");
  expect(() => plan({ Binds: ["/a:/x"], Tmpfs: { "/x": "" } })).toThrow("Duplicate mount point");
});

test("an anonymous volume of another container stays one: it goes with the last that has it", () => {
  const mounts = plan({ VolumesFrom: ["web"] });
  expect(mounts.map(({ anonymous }) => anonymous)).toEqual([true, false]);
});

describe("mounts", () => {
  test("bind, volume and tmpfs", () => {
    const mounts = plan({
      Mounts: [
        { Type: "bind", Source: "/s", Target: "/b", ReadOnly: true },
        { Type: "volume", Target: "/v" },
        { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 4096, Mode: 0o700 } },
      ],
    });
    expect(mounts[0]).toMatchObject({ type: "bind", source: "/s", readOnly: true });
    expect(mounts[1]).toMatchObject({ type: "volume", anonymous: true });
    expect(mounts[2]?.options).toEqual(["size=4096", "mode=700"]);
  });
  const bad: readonly [unknown, string][] = [
    [{ Type: "bind", Target: "/b" }, "field Source must not be empty"],
    [{ Type: "bind", Source: "x", Target: "/b" }, "mount path must be absolute"],
    [{ Type: "bind", Source: "/x", Target: "b" }, "mount path must be absolute"],
    [{ Type: "bind", Source: "/x", Target: "/" }, "destination can't be '/'"],
    [{ Type: "tmpfs", Source: "/x", Target: "/b" }, "field Source must not be specified"],
    [{ Type: "npipe", Source: "x", Target: "/b" }, "mount type unknown"],
    [{ Type: "image", Target: "/b" }, "field Source must not be empty"],
    [{ Type: "odd", Source: "x", Target: "/b" }, "mount type unknown"],
    [{ Type: "volume", Target: "/b", VolumeOptions: { Subpath: "../x" } }, "relative path"],
    [{ Type: "volume", Target: "/b", VolumeOptions: { Subpath: "/x" } }, "relative path"],
  ];
  for (const [mount, message] of bad) {
    test(`refuses ${JSON.stringify(mount)}`, () => {
      expect(() => plan({ Mounts: [mount as never] })).toThrow(message);
    });
  }
});

test("a volume's labels and a part of it are kept for its making and its mounting", () => {
  const VolumeOptions = { Labels: { of: "tests" }, Subpath: "a//b/../c", NoCopy: true };
  const [one] = plan({
    Mounts: [{ Type: "volume", Source: "v", Target: "/v", VolumeOptions }],
  });
  expect(one).toMatchObject({ labels: { of: "tests" }, subpath: "a/c", copyUp: false });
});

test("tmpfs options are checked", () => {
  expect(plan({ Tmpfs: { "/t": "rw,noexec,size=64m" } })[0]?.options).toEqual([
    "rw",
    "noexec",
    "size=64m",
  ]);
  expect(() => plan({ Tmpfs: { "/t": "lowerdir=/etc" } })).toThrow("invalid tmpfs option");
});

test("parents are mounted before what is inside them", () => {
  const mounts = plan({ Binds: ["/1:/a/b/c", "/2:/a", "/3:/a/b"] });
  expect(inMountOrder(mounts).map((mount) => mount.destination)).toEqual(["/a", "/a/b", "/a/b/c"]);
});

test("options of another type, and what an anonymous volume cannot be, are refused", () => {
  const bad: readonly (readonly [Mount, string])[] = [
    [{ Type: "tmpfs", Target: "/x", BindOptions: { NonRecursive: true } }, "BindOptions"],
    [{ Type: "tmpfs", Target: "/x", VolumeOptions: { NoCopy: true } }, "VolumeOptions"],
    [{ Type: "volume", Target: "/x", Source: "v", BindOptions: {} }, "BindOptions"],
    [{ Type: "volume", Target: "/x", Source: "v", ImageOptions: {} }, "ImageOptions"],
    [{ Type: "volume", Target: "/x", ReadOnly: true }, "ReadOnly"],
    [{ Type: "volume", Target: "/x", VolumeOptions: { Subpath: "a" } }, "Subpath"],
    [{ Type: "bind", Target: "/x", Source: "/a", VolumeOptions: {} }, "VolumeOptions"],
    [{ Type: "npipe", Target: "/x", Source: "a" }, "mount type unknown"],
    [{ Type: "cluster", Target: "/x", Source: "a" }, "cluster"],
  ];
  for (const [mount, words] of bad) expect(() => plan({ Mounts: [mount] })).toThrow(words);
});

test("VolumeDriver is of the volumes that name none themselves", () => {
  const Mounts = [{ Type: "volume", Target: "/m", Source: "m" }];
  const driven = plan(
    { VolumeDriver: "far", Binds: ["v:/v", "/h:/h"], Mounts },
    { Volumes: { "/i": {} } },
  );
  expect(driven.map((mount) => [mount.destination, mount.volumeDriver])).toEqual([
    ["/v", "far"],
    ["/h", undefined],
    ["/m", undefined],
    ["/i", "far"],
  ]);
});
