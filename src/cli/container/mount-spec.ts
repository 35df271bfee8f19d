import { resolve } from "node:path";
import { NaruError } from "../../base/mod.ts";
import type { BindOptions, IdMapping, Mount, TmpfsOptions, VolumeOptions } from "../../spec/mod.ts";
import { parseBool } from "../flags/flag-values.ts";
import { splitCsv, splitPair } from "./csv.ts";
import { parseSize } from "./quantity.ts";

interface Draft {
  mount: Mount;
  bind: BindOptions | undefined;
  volume: VolumeOptions | undefined;
  image: { Subpath?: string } | undefined;
  tmpfs: TmpfsOptions | undefined;
}

/** One `--mount` value. Throws invalid_argument naming the field. @see docker service mounts */
export function parseMount(text: string): Mount {
  const draft: Draft = {
    mount: { Type: "volume", Target: "" },
    bind: undefined,
    volume: undefined,
    image: undefined,
    tmpfs: undefined,
  };
  for (const field of splitCsv(text)) applyField(draft, field);
  const { mount } = draft;
  if (mount.Target === "") throw invalid("target is required");
  const parts = { bind: draft.bind, volume: draft.volume, image: draft.image, tmpfs: draft.tmpfs };
  for (const [type, options] of Object.entries(parts)) {
    if (options !== undefined && mount.Type !== type) {
      throw invalid(`cannot mix '${type}-*' options with mount type '${mount.Type}'`);
    }
  }
  return {
    ...mount,
    ...(draft.bind === undefined ? {} : { BindOptions: draft.bind }),
    ...(draft.volume === undefined ? {} : { VolumeOptions: draft.volume }),
    ...(draft.image === undefined ? {} : { ImageOptions: draft.image }),
    ...(draft.tmpfs === undefined ? {} : { TmpfsOptions: draft.tmpfs }),
  };
}

function applyField(draft: Draft, field: string): void {
  const { key, value } = splitPair(field);
  const { mount } = draft;
  switch (key) {
    case "readonly":
    case "ro":
      if (flagValue(key, value)) mount.ReadOnly = true;
      else delete mount.ReadOnly;
      return;
    case "volume-nocopy":
      draft.volume = { ...draft.volume, NoCopy: flagValue(key, value) };
      return;
    case "bind-nonrecursive":
      draft.bind = { ...draft.bind, NonRecursive: flagValue(key, value) };
      return;
    case "bind-idmap":
      draft.bind = { ...draft.bind, IDMapping: idMapping(value ?? "match-user") };
      return;
    case "bind-create-src":
      draft.bind = { ...draft.bind, CreateMountpoint: flagValue(key, value) };
      return;
    default:
      if (value === undefined) {
        throw invalid(`invalid field '${field}' must be a key=value pair`);
      }
      applyValue(draft, key, value);
  }
}

function applyValue(draft: Draft, key: string, value: string): void {
  const { mount } = draft;
  switch (key) {
    case "type":
      mount.Type = value.toLowerCase();
      return;
    case "source":
    case "src":
      mount.Source = /^\.{1,2}(\/|$)/.test(value) ? resolve(value) : value;
      return;
    case "target":
    case "dst":
    case "destination":
      mount.Target = value;
      return;
    case "consistency":
      mount.Consistency = value.toLowerCase();
      return;
    case "bind-propagation":
      draft.bind = { ...draft.bind, Propagation: value.toLowerCase() };
      return;
    case "bind-recursive":
      draft.bind = { ...draft.bind, ...recursion(value) };
      return;
    case "image-subpath":
      draft.image = { Subpath: value };
      return;
    case "tmpfs-size":
      draft.tmpfs = { ...draft.tmpfs, SizeBytes: parseSize(value) };
      return;
    case "tmpfs-mode":
      if (!/^[0-7]{1,6}$/.test(value)) throw invalid(`invalid value for ${key}: ${value}`);
      draft.tmpfs = { ...draft.tmpfs, Mode: Number.parseInt(value, 8) };
      return;
    default:
      draft.volume = volumeValue(draft.volume ?? {}, key, value);
  }
}

function volumeValue(options: VolumeOptions, key: string, value: string): VolumeOptions {
  const driver = options.DriverConfig ?? {};
  const [name, rest] = [value.split("=")[0] ?? "", value.slice(value.indexOf("=") + 1)];
  switch (key) {
    case "volume-subpath":
      // docker's own client sends an empty driver here; clients compare bodies.
      return { ...options, Subpath: value, DriverConfig: driver };
    case "volume-driver":
      return { ...options, DriverConfig: { ...driver, Name: value } };
    case "volume-opt":
      return {
        ...options,
        DriverConfig: { ...driver, Options: { ...driver.Options, [name]: rest } },
      };
    case "volume-label":
      return { ...options, Labels: { ...options.Labels, [name]: value.includes("=") ? rest : "" } };
    default:
      throw invalid(`unknown option '${key}' in '${key}=${value}'`);
  }
}

/** `match-user`, `match-user:USER` or `userns`. */
function idMapping(value: string): IdMapping {
  const colon = value.indexOf(":");
  const source = colon === -1 ? value : value.slice(0, colon);
  const user = colon === -1 ? "" : value.slice(colon + 1);
  const wrong = source === "userns" ? user !== "" : source !== "match-user";
  if (wrong || (colon !== -1 && user === "")) {
    throw invalid(
      `invalid value for bind-idmap: ${value} (must be "match-user[:USER]" or "userns")`,
    );
  }
  return { Source: source, ...(user === "" ? {} : { User: user }) };
}

function recursion(value: string): BindOptions {
  switch (value) {
    case "enabled":
      return {};
    case "disabled":
      return { NonRecursive: true };
    case "writable":
      return { ReadOnlyNonRecursive: true };
    case "readonly":
      return { ReadOnlyForceRecursive: true };
    default:
      throw invalid(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
}

function flagValue(key: string, value: string | undefined): boolean {
  if (value === undefined) return true;
  const parsed = parseBool(value);
  if (parsed === undefined) throw invalid(`invalid value for ${key}: ${value}`);
  return parsed;
}

function invalid(why: string): NaruError {
  return new NaruError("invalid_argument", `invalid --mount: ${why}`);
}
