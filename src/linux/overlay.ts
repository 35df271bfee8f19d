import { readFileSync } from "node:fs";
import { NaruError, workerUrl } from "../base/mod.ts";
import { close, O_DIRECTORY, O_PATH, open } from "./descriptor.ts";
import {
  fsconfigCreate,
  fsconfigDescriptor,
  fsconfigFlag,
  fsconfigText,
  fsmount,
  fsopen,
  mount,
  mountOptionsFit,
  moveMount,
} from "./mount.ts";
import { SyscallError, type SyscallErrorRecord, syscallErrorFrom } from "./syscall-error.ts";

/** The kernel's own limit (OVL_MAX_STACK); layers beyond it have to be merged first. */
export const OVERLAY_LOWER_MAX: number = 500;

/** All paths absolute. */
export interface OverlayRequest {
  /** The top layer first, at least one. */
  readonly lower: readonly string[];
  /** Left out for a read-only mount. */
  readonly writable?: { readonly upper: string; readonly work: string };
  readonly target: string;
  /** As after `-o`: `index=off`, `metacopy=on`, `volatile`. */
  readonly options?: readonly string[];
}

/** How one overlay is going to be mounted. */
export type OverlayPlan =
  | { readonly kind: "mount"; readonly options: string }
  | { readonly kind: "layer-by-layer" }
  | { readonly kind: "relative"; readonly folder: string; readonly options: string };

export interface OverlayKernel {
  /** fsconfig knows `lowerdir+` (6.5 and later). */
  readonly lowerdirPlus: boolean;
}

/**
 * mount(2) takes a page of options; what does not fit goes layer by layer through the new mount
 * API, and on kernels without `lowerdir+` by names relative to the folder that all layers share.
 * Throws unsupported when nothing of that can hold the layers.
 */
export function planOverlay(request: OverlayRequest, kernel: OverlayKernel): OverlayPlan {
  const count = request.lower.length;
  if (count === 0 || count > OVERLAY_LOWER_MAX) {
    const text = `overlay takes 1 to ${OVERLAY_LOWER_MAX} layers, not ${count}`;
    throw new NaruError("unsupported", text, { layers: count });
  }
  const options = mountOptions(request, request.lower);
  if (mountOptionsFit(options)) return { kind: "mount", options };
  if (kernel.lowerdirPlus) return { kind: "layer-by-layer" };
  const folder = sharedFolder(request.lower);
  const names = request.lower.map((path) => path.slice(folder.length + 1));
  const relative = mountOptions(request, names);
  if (folder !== "" && mountOptionsFit(relative)) {
    return { kind: "relative", folder, options: relative };
  }
  throw new NaruError(
    "unsupported",
    `${count} layers do not fit into the mount options of this kernel: it lacks overlay's lowerdir+`,
    { layers: count },
  );
}

function mountOptions(request: OverlayRequest, lower: readonly string[]): string {
  const parts = [`lowerdir=${lower.map(escapeOption).join(":")}`];
  if (request.writable !== undefined) {
    parts.push(`upperdir=${escapeOption(request.writable.upper)}`);
    parts.push(`workdir=${escapeOption(request.writable.work)}`);
  }
  return [...parts, ...(request.options ?? [])].join(",");
}

/** Overlay splits at `,` and `:` and takes a backslash before them away. */
function escapeOption(path: string): string {
  return path.replace(/[\\:,]/g, "\\$&");
}

/** The deepest folder above all `paths`, without a slash at the end; "" is the root. */
function sharedFolder(paths: readonly string[]): string {
  let folder = paths[0]?.slice(0, paths[0].lastIndexOf("/")) ?? "";
  while (!paths.every((path) => path.startsWith(`${folder}/`))) {
    folder = folder.slice(0, folder.lastIndexOf("/"));
  }
  return folder;
}

/**
 * Mounts an overlay, in the way that `kernel` knows (by default the running one). Throws
 * SyscallError; nothing is mounted then. Undo with umountDetached.
 */
export async function mountOverlay(
  request: OverlayRequest,
  kernel: OverlayKernel = { lowerdirPlus: overlayHasLowerdirPlus() },
): Promise<void> {
  const plan = planOverlay(request, kernel);
  switch (plan.kind) {
    case "mount":
      mountAtTarget(request.target, plan.options);
      return;
    case "layer-by-layer":
      mountLayerByLayer(request);
      return;
    case "relative":
      await mountRelative({ ...plan, target: request.target });
      return;
  }
}

function mountAtTarget(target: string, options: string): void {
  mount({ source: "overlay", target, type: "overlay", options });
}

const TEXT_BYTES_MAX = 255; // fsconfig refuses longer texts; descriptors have no such limit

function mountLayerByLayer(request: OverlayRequest): void {
  const context = fsopen("overlay");
  try {
    fsconfigText(context, "source", "overlay");
    for (const layer of request.lower) configureFolder(context, "lowerdir+", layer);
    if (request.writable !== undefined) {
      configureFolder(context, "upperdir", request.writable.upper);
      configureFolder(context, "workdir", request.writable.work);
    }
    for (const option of request.options ?? []) {
      const [key = "", value] = option.split("=", 2);
      if (value === undefined) fsconfigFlag(context, key);
      else fsconfigText(context, key, value);
    }
    fsconfigCreate(context);
    const made = fsmount(context);
    try {
      moveMount(made, request.target);
    } finally {
      close(made);
    }
  } finally {
    close(context);
  }
}

/** Short paths by text, which every kernel with `lowerdir+` takes; longer ones by descriptor. */
function configureFolder(context: number, key: string, path: string): void {
  if (Buffer.byteLength(path) <= TEXT_BYTES_MAX) {
    fsconfigText(context, key, path);
    return;
  }
  const fd = open(path, O_PATH | O_DIRECTORY);
  try {
    fsconfigDescriptor(context, key, fd);
  } finally {
    close(fd);
  }
}

let lowerdirPlus: boolean | undefined;

/** Found out by trying, once: distributions backport. */
export function overlayHasLowerdirPlus(): boolean {
  lowerdirPlus ??= tryLowerdirPlus();
  return lowerdirPlus;
}

/**
 * Before 6.5 overlay has the old parser, which takes any key and complains at the end (seen on 6.1):
 * a kernel that takes nonsense has said nothing by taking `lowerdir+`.
 */
function tryLowerdirPlus(): boolean {
  return overlayTakes("lowerdir+") && !overlayTakes("naru-nonsense");
}

function overlayTakes(key: string): boolean {
  try {
    const context = fsopen("overlay");
    try {
      fsconfigText(context, key, "/");
      return true;
    } finally {
      close(context);
    }
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

// Features that some distributions switch on for all mounts: they make an upper directory mean
// something only together with those below it, or keep it from being mounted a second time.
const FEATURES = ["index", "metacopy", "redirect_dir"];
const PARAMETERS = "/sys/module/overlay/parameters";
let plainOptions: readonly string[] | undefined;

/**
 * Options for an upper directory that can be read by itself, as a layer is made of it: those that
 * this kernel needs to be told. @see Linux Documentation/filesystems/overlayfs.rst
 */
export function plainOverlayOptions(folder: string = PARAMETERS): readonly string[] {
  if (folder !== PARAMETERS) return optionsAgainst(folder);
  plainOptions ??= optionsAgainst(folder);
  return plainOptions;
}

function optionsAgainst(folder: string): readonly string[] {
  return FEATURES.filter((feature) => {
    try {
      return readFileSync(`${folder}/${feature}`, "utf8").trim() === "Y";
    } catch {
      return false; // a kernel without it
    }
  }).map((feature) => `${feature}=off`);
}

/** What the Worker that has a current directory of its own is asked. */
export interface RelativeMountRequest {
  readonly folder: string;
  readonly options: string;
  readonly target: string;
}

/** In a Worker of its own, since the current directory belongs to the process. */
async function mountRelative(request: RelativeMountRequest): Promise<void> {
  const worker = new Worker(workerUrl("linux/overlay.worker.ts"));
  const { promise, resolve, reject } = Promise.withResolvers<SyscallErrorRecord | null>();
  worker.addEventListener("message", ({ data }) => resolve(data));
  worker.addEventListener("error", ({ message }) => reject(new Error(message)));
  worker.postMessage(request);
  try {
    const failure = await promise;
    if (failure !== null) throw syscallErrorFrom(failure);
  } finally {
    worker.terminate();
  }
}
