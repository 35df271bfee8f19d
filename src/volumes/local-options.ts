import { isAbsolute } from "node:path";
import { NaruError, parseSizeBytes } from "../base/mod.ts";
import { MS_BIND } from "../linux/mod.ts";
import { type MountFlags, parseMountOptions } from "./mount-flags.ts";

/** What the options of a local volume come to. */
export type LocalPlan =
  /** A directory of the data root; `sizeBytes` 0 is no limit. */
  | { readonly kind: "directory"; readonly sizeBytes: number }
  /** Something that is mounted while somebody uses it. */
  | {
      readonly kind: "mount";
      readonly type: string;
      readonly device: string;
      /** As it was written; addresses in it are looked up at each mount. */
      readonly o: string;
      readonly flags: MountFlags;
    }
  /** A file with a file system of its own size, in the volume's directory. */
  | {
      readonly kind: "image";
      readonly fileSystem: ImageFileSystem;
      readonly sizeBytes: number;
      readonly flags: MountFlags;
    };

export type ImageFileSystem = "ext4" | "xfs";

/** Docker's four, and naru's `backing`. */
const KNOWN: ReadonlySet<string> = new Set(["type", "device", "o", "size", "backing"]);
const NEEDS: readonly (readonly [option: string, needed: readonly string[]])[] = [
  ["device", ["type"]],
  ["type", ["device"]],
  ["o", ["device", "type"]],
];

const VALUE_BYTES_MAX = 4096; // a page: the kernel takes no more of any of them
const MIN_IMAGE_BYTES: Readonly<Record<ImageFileSystem, number>> = {
  ext4: 1024 * 1024, // mkfs needs room for its tables
  xfs: 300 * 1024 * 1024, // mkfs.xfs refuses less
};

/** Throws invalid_argument in Docker's words where it has some. */
export function planLocal(options: Readonly<Record<string, string>>): LocalPlan {
  for (const [key, value] of Object.entries(options)) {
    if (!KNOWN.has(key)) throw invalid(`invalid option: ${JSON.stringify(key.slice(0, 60))}`);
    if (Buffer.byteLength(value) > VALUE_BYTES_MAX || value.includes("\0")) {
      throw invalid(`invalid option: "${key}": too long or with a NUL character`);
    }
  }
  const sizeBytes = sizeOf(options["size"]);
  if (options["backing"] !== undefined) return planImage(options, sizeBytes);
  for (const [option, needed] of NEEDS) {
    const missing = needed.find((other) => options[other] === undefined);
    if (options[option] !== undefined && missing !== undefined) {
      throw invalid(`missing required option: "${missing}"`);
    }
  }
  const { type, device = "", o = "" } = options;
  if (type === undefined) return { kind: "directory", sizeBytes };
  if (sizeBytes > 0) {
    throw invalid(
      `invalid option: "size": a volume with a type takes its size in o (a tmpfs: o=size=${options["size"]})`,
    );
  }
  return planMount(type, device, o);
}

function planMount(type: string, device: string, o: string): LocalPlan {
  if (!/^[a-z0-9][a-z0-9_.+-]*$/i.test(type))
    throw invalid(`invalid option: "type": ${shown(type)}`);
  if (device === "") throw invalid("missing device in volume options");
  if (/\p{Cc}/u.test(device)) throw invalid(`invalid option: "device": control characters`);
  const flags = parseMountOptions(o);
  if ((flags.flags & MS_BIND) !== 0 && !isAbsolute(device)) {
    throw invalid(`invalid option: "device": a bind needs an absolute path, not ${shown(device)}`);
  }
  return { kind: "mount", type, device, o, flags };
}

function planImage(options: Readonly<Record<string, string>>, sizeBytes: number): LocalPlan {
  const { backing, type = "ext4", device, o = "" } = options;
  if (backing !== "image") throw invalid(`invalid option: "backing": want image`);
  if (device !== undefined)
    throw invalid(`invalid option: "device": an image is a file of its own`);
  if (type !== "ext4" && type !== "xfs") {
    throw invalid(`invalid option: "type": an image has ext4 or xfs`);
  }
  if (sizeBytes === 0) throw invalid(`missing required option: "size"`);
  const least = MIN_IMAGE_BYTES[type];
  if (sizeBytes < least) throw invalid(`invalid option: "size": ${type} needs ${least} bytes`);
  return { kind: "image", fileSystem: type, sizeBytes, flags: parseMountOptions(o) };
}

function sizeOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const size = parseSizeBytes(text);
  if (size === undefined) throw invalid(`invalid size: ${shown(text)}`);
  return size;
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, 60));
}

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message, { field: "DriverOpts" });
}
