import { describe, expect, test } from "bun:test";
import { MS_BIND, MS_NODEV, MS_RDONLY, MS_REC, MS_SLAVE } from "../linux/mod.ts";
import { withAddresses } from "./local-mount.ts";
import { type LocalPlan, planLocal } from "./local-options.ts";
import { parseMountOptions } from "./mount-flags.ts";

type MountPlan = LocalPlan & { kind: "mount" };

const lookUp = (host: string): Promise<string> =>
  host === "nas" ? Promise.resolve("192.0.2.7") : Promise.reject(new Error(`asked for ${host}`));

describe("options of a local volume", () => {
  test("none are a directory, a type is a mount, backing is a file", () => {
    expect(planLocal({})).toEqual({ kind: "directory", sizeBytes: 0 });
    expect(planLocal({ size: "10m" })).toEqual({ kind: "directory", sizeBytes: 10 * 1024 * 1024 });
    const tmpfs = planLocal({ type: "tmpfs", device: "tmpfs", o: "size=1m,uid=5,nodev" });
    expect(tmpfs).toMatchObject({
      kind: "mount",
      flags: { flags: MS_NODEV, data: "size=1m,uid=5" },
    });
    expect(planLocal({ backing: "image", size: "64m" })).toMatchObject({
      kind: "image",
      fileSystem: "ext4",
      sizeBytes: 64 * 1024 * 1024,
    });
  });

  const refused: readonly (readonly [Record<string, string>, string])[] = [
    [{ colour: "red" }, 'invalid option: "colour"'],
    [{ device: "/x" }, 'missing required option: "type"'],
    [{ type: "tmpfs" }, 'missing required option: "device"'],
    [{ o: "ro" }, 'missing required option: "device"'],
    [{ size: "many" }, "invalid size"],
    [{ type: "tmpfs", device: "tmpfs", size: "1m" }, 'invalid option: "size"'],
    [{ type: "tmpfs", device: "" }, "missing device in volume options"],
    [{ type: "../x", device: "y" }, 'invalid option: "type"'],
    [{ type: "tmpfs", device: "a\nb" }, 'invalid option: "device"'],
    [{ type: "tmpfs", device: "a\0b" }, 'invalid option: "device"'],
    [{ type: "none", device: "relative", o: "bind" }, "absolute path"],
    [{ backing: "paper", size: "1g" }, 'invalid option: "backing"'],
    [{ backing: "image" }, 'missing required option: "size"'],
    [{ backing: "image", size: "1k" }, "ext4 needs"],
    [{ backing: "image", size: "1g", type: "zfs" }, "ext4 or xfs"],
    [{ backing: "image", size: "1g", device: "/dev/sda" }, 'invalid option: "device"'],
    [{ type: "tmpfs", device: "x".repeat(5000) }, 'invalid option: "device"'],
  ];
  for (const [options, words] of refused) {
    test(`refuses ${JSON.stringify(options).slice(0, 80)}`, () => {
      expect(() => planLocal(options)).toThrow(words);
    });
  }
});

describe("mount options", () => {
  test("words become flags, the last word wins, the rest is the file system's", () => {
    expect(parseMountOptions("ro,nodev,rw,vers=4,rslave")).toEqual({
      flags: MS_NODEV,
      propagation: MS_SLAVE | MS_REC,
      data: "vers=4",
    });
    expect(parseMountOptions("rbind,ro").flags).toBe(MS_BIND | MS_REC | MS_RDONLY);
    expect(parseMountOptions("")).toEqual({ flags: 0, propagation: 0, data: "" });
  });

  for (const text of [
    "a\0b",
    "a\nb",
    "ro,,rw",
    "remount",
    "loop",
    "_netdev",
    "x-systemd.automount",
    "noauto",
    "offset=5",
    "x".repeat(5000),
  ]) {
    test(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
      expect(() => parseMountOptions(text)).toThrow('invalid option: "o"');
    });
  }
});

describe("addresses", () => {
  const data = async (type: string, device: string, o: string): Promise<string> =>
    (await withAddresses(planLocal({ type, device, o }) as MountPlan, lookUp)).data;

  test("names are looked up, addresses stay, a missing one comes from the device", async () => {
    expect(await data("nfs", ":/export", "addr=nas,vers=4")).toBe("vers=4,addr=192.0.2.7");
    expect(await data("nfs", ":/export", "addr=198.51.100.1")).toBe("addr=198.51.100.1");
    expect(await data("nfs4", "nas:/export", "soft")).toBe("soft,addr=192.0.2.7");
    expect(await data("nfs", "[2001:db8::1]:/export", "")).toBe("addr=2001:db8::1");
    expect(await data("cifs", "//nas/share", "user=me")).toBe("user=me,ip=192.0.2.7");
    expect(await data("tmpfs", "tmpfs", "addr=nas")).toBe("addr=nas");
  });
});
