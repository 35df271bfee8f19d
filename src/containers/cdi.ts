import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { errorCode, errorMessage, MiB, NaruError } from "../base/mod.ts";
import { hostDevices, type SpecDevice, type SpecMount } from "../runtime/mod.ts";
import type { DeviceRequest, HostConfig, RuntimeHook } from "../spec/mod.ts";

const SPEC_BYTES_MAX = MiB; // the largest known, of a host with sixteen GPUs, are below 200 KB
const QUALIFIED_NAME = /^([a-zA-Z0-9][\w.-]*\/[a-zA-Z0-9][\w.-]*)=([a-zA-Z0-9][\w.:-]*)$/;
const HOOKS: ReadonlySet<string> = new Set(
  "prestart createRuntime createContainer startContainer poststart poststop".split(" "),
);

/** What the requested devices change of a container. */
export interface CdiEdits {
  readonly env: readonly string[];
  readonly devices: readonly SpecDevice[];
  readonly mounts: readonly SpecMount[];
  readonly hooks: Readonly<Record<string, RuntimeHook[]>>;
  readonly additionalGids: readonly number[];
}

type Fields = Readonly<Record<string, unknown>>;

function invalid(message: string): NaruError {
  return new NaruError("invalid_argument", message, { field: "DeviceRequests" });
}

/** `--gpus`: whose devices these are when no driver is named, the first that has a specification. */
const GPU_KINDS: readonly string[] = ["nvidia.com/gpu", "amd.com/gpu"];

/**
 * Throws unsupported for a driver that is neither CDI nor one of GPUs which a CDI specification of
 * this host describes, invalid_argument for names that are none.
 */
export function checkDeviceRequests(host: HostConfig, dirs: readonly string[]): void {
  for (const request of host.DeviceRequests ?? []) {
    if (request.Driver !== "cdi") gpuKind(request, dirs);
    if (Object.keys(request.Options ?? {}).length > 0) {
      throw invalid("HostConfig.DeviceRequests: CDI devices take no Options");
    }
    if ((request.DeviceIDs ?? []).length > 0 && request.Count !== 0 && request.Driver !== "cdi") {
      throw invalid("cannot set both Count and DeviceIDs on device request");
    }
    for (const id of namesOf(request, dirs)) {
      if (!QUALIFIED_NAME.test(id)) throw invalid(`invalid CDI device name "${id}"`);
    }
  }
}

/** The kind of CDI devices by which a request of `--gpus` is met. Throws unsupported. */
function gpuKind(request: DeviceRequest, dirs: readonly string[]): string {
  const { Driver: driver, Capabilities: capabilities } = request;
  const isGpu = (capabilities ?? []).some((all) => all.includes("gpu"));
  const kinds = GPU_KINDS.filter((kind) => driver === "" || kind.startsWith(`${driver}.`));
  if (isGpu && kinds.length > 0) {
    const there = new Set(readSpecs(dirs).map(({ kind }) => kind));
    const kind = kinds.find((one) => there.has(one));
    if (kind !== undefined) return kind;
  }
  const wanted = JSON.stringify(capabilities ?? []).replaceAll('"', "");
  const why = isGpu
    ? `no CDI specification of ${kinds.join(" or ") || "its devices"} in ${dirs.join(", ")}: the vendor's toolkit makes one, such as \`nvidia-ctk cdi generate\``
    : 'only "cdi" and GPUs are known: name the devices as vendor.com/class=name';
  throw new NaruError(
    "unsupported",
    `HostConfig.DeviceRequests: could not select device driver "${driver}" with capabilities: ${wanted} (${why})`,
    { field: "DeviceRequests" },
  );
}

/** The CDI devices that a request asks for. */
function namesOf(request: DeviceRequest, dirs: readonly string[]): string[] {
  const ids = request.DeviceIDs ?? [];
  if (request.Driver === "cdi") return [...ids];
  const kind = gpuKind(request, dirs);
  if (ids.length > 0) return ids.map((id) => `${kind}=${id}`);
  if (request.Count < 0) return [`${kind}=all`];
  return Array.from({ length: request.Count }, (_, index) => `${kind}=${index}`);
}

/** Reads the specifications and looks up what is asked for. Throws invalid_argument by name. */
export function planCdi(host: HostConfig, dirs: readonly string[]): CdiEdits {
  const ids = (host.DeviceRequests ?? []).flatMap((request) => namesOf(request, dirs));
  const edits: Edits = { env: [], devices: [], mounts: [], hooks: {}, additionalGids: [] };
  if (ids.length === 0) return edits;
  const specs = readSpecs(dirs);
  const used = new Set<Fields>();
  const missing: string[] = [];
  for (const id of new Set(ids)) {
    const [, kind, name] = QUALIFIED_NAME.exec(id) ?? [];
    const found = specs
      .filter((spec) => spec.kind === kind)
      .flatMap((spec) => spec.devices.map((device) => ({ spec, device })))
      .findLast(({ device }) => device["name"] === name);
    if (found === undefined) {
      missing.push(id);
      continue;
    }
    // The edits of a whole file apply once, before those of its devices.
    if (!used.has(found.spec.edits)) apply(edits, found.spec.edits, found.spec.path);
    used.add(found.spec.edits);
    apply(edits, fieldsOf(found.device["containerEdits"]), found.spec.path);
  }
  if (missing.length > 0) {
    throw invalid(
      `CDI device injection failed: unresolvable CDI devices ${missing.join(", ")} (looked in ${dirs.join(", ")})`,
    );
  }
  return edits;
}

interface Edits extends CdiEdits {
  readonly env: string[];
  readonly devices: SpecDevice[];
  readonly mounts: SpecMount[];
  readonly hooks: Record<string, RuntimeHook[]>;
  readonly additionalGids: number[];
}

interface CdiSpec {
  readonly path: string;
  readonly kind: string;
  readonly devices: readonly Fields[];
  readonly edits: Fields;
}

function readSpecs(dirs: readonly string[]): CdiSpec[] {
  return dirs.flatMap((dir) =>
    namesIn(dir)
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .map((name) => readSpec(join(dir, name))),
  );
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).toSorted();
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw error;
  }
}

function readSpec(path: string): CdiSpec {
  try {
    if (statSync(path).size > SPEC_BYTES_MAX)
      throw new Error(`larger than ${SPEC_BYTES_MAX} bytes`);
    const text = readFileSync(path, "utf8");
    const spec = fieldsOf(path.endsWith(".json") ? JSON.parse(text) : Bun.YAML.parse(text));
    return {
      path,
      kind: textOf(spec["kind"]),
      devices: listOf(spec["devices"]).map(fieldsOf),
      edits: fieldsOf(spec["containerEdits"]),
    };
  } catch (cause) {
    throw invalid(`the CDI specification ${path} cannot be read: ${errorMessage(cause)}`);
  }
}

const KNOWN_EDITS: ReadonlySet<string> = new Set([
  "env",
  "deviceNodes",
  "mounts",
  "hooks",
  "additionalGids",
]);

function apply(edits: Edits, asked: Fields, path: string): void {
  const unknown = Object.keys(asked).find((key) => !KNOWN_EDITS.has(key));
  if (unknown !== undefined) throw invalid(`${path}: containerEdits.${unknown} is not supported`);
  edits.env.push(...listOf(asked["env"]).map(textOf));
  for (const node of listOf(asked["deviceNodes"]).map(fieldsOf))
    edits.devices.push(...device(node));
  for (const mount of listOf(asked["mounts"]).map(fieldsOf)) edits.mounts.push(bindOf(mount));
  for (const hook of listOf(asked["hooks"]).map(fieldsOf)) {
    const name = textOf(hook["hookName"]);
    if (!HOOKS.has(name)) throw invalid(`${path}: "${name}" is no hook of the runtime`);
    edits.hooks[name] = [...(edits.hooks[name] ?? []), hookOf(hook)];
  }
  for (const gid of listOf(asked["additionalGids"])) {
    if (!Number.isInteger(gid)) throw invalid(`${path}: additionalGids: ${String(gid)}`);
    edits.additionalGids.push(gid as number);
  }
}

/** The numbers are the host's; a specification may only repeat them. */
function device(node: Fields): SpecDevice[] {
  const path = textOf(node["path"]);
  const hostPath = textOf(node["hostPath"]) || path;
  const found = hostDevices(hostPath, path, textOf(node["permissions"]) || "rwm");
  return found.map((one) => ({
    ...one,
    ...("uid" in node ? { uid: Number(node["uid"]) } : {}),
    ...("gid" in node ? { gid: Number(node["gid"]) } : {}),
    ...("fileMode" in node ? { fileMode: Number(node["fileMode"]) & 0o7777 } : {}),
  }));
}

const PROPAGATION = /^r?(private|shared|slave)$/;
const BIND_WORDS: ReadonlySet<string> = new Set(["bind", "rbind", "ro", "rw", "rro"]);

function bindOf(mount: Fields): SpecMount {
  const options = listOf(mount["options"]).map(textOf);
  const readOnly = options.includes("ro") ? "top" : "no";
  return {
    kind: "bind",
    source: textOf(mount["hostPath"]),
    destination: textOf(mount["containerPath"]),
    recursive: !options.includes("bind"),
    readOnly: options.includes("rro") ? "recursive" : readOnly,
    propagation: options.find((option) => PROPAGATION.test(option)) ?? "",
    more: options.filter((option) => !PROPAGATION.test(option) && !BIND_WORDS.has(option)),
  };
}

function hookOf(hook: Fields): RuntimeHook {
  const timeout = hook["timeout"];
  return {
    path: textOf(hook["path"]),
    args: listOf(hook["args"]).map(textOf),
    env: listOf(hook["env"]).map(textOf),
    ...(typeof timeout === "number" ? { timeout } : {}),
  };
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
