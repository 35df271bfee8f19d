import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { BUSYBOX, busyboxRootfs } from "../../scripts/base-image.ts";
import { type TarEntry, tarArchive } from "../../scripts/tar-writer.ts";

export const CACHE: string = "/tmp/naru-test-cache";

/** What goes into an image made on the spot. */
export interface ImagePlan {
  /** `name:tag`; none for an image without a name. */
  readonly reference?: string;
  /** OCI image configuration, the part called `config`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Uncompressed tars, the lowest first. */
  readonly layers: readonly Uint8Array[];
}

/** Files that tests load. Made once per busybox and kept: never write to them. */
export interface BusyboxFiles {
  /** The bare file system, for `import`. */
  readonly rootfs: string;
  /** `docker save` form of `busybox:latest`, CMD sh. */
  readonly dockerArchive: string;
  /** OCI layout in a tar, gzip layer, `busybox:latest`. */
  readonly ociArchive: string;
}

/** The busybox image in each form, made locally from Debian's busybox-static. */
export async function busyboxFiles(): Promise<BusyboxFiles> {
  const key = sha256(Buffer.concat([await readFile(BUSYBOX), await recipe()])).slice(0, 16);
  const folder = join(CACHE, key);
  const files: BusyboxFiles = {
    rootfs: join(folder, "rootfs.tar"),
    dockerArchive: join(folder, "busybox-docker.tar"),
    ociArchive: join(folder, "busybox-oci.tar"),
  };
  if (Object.values(files).every((path) => existsSync(path))) return files;
  await mkdir(folder, { recursive: true });
  const layer = await busyboxRootfs();
  const plan: ImagePlan = { reference: "busybox:latest", config: BUSYBOX_CONFIG, layers: [layer] };
  await keep(files.rootfs, layer);
  await keep(files.dockerArchive, dockerArchive([plan]));
  await keep(files.ociArchive, ociArchive([plan]));
  return files;
}

/** The busybox file system as a layer to build other images upon. */
export async function busyboxLayer(): Promise<Uint8Array> {
  return await readFile((await busyboxFiles()).rootfs);
}

const BUSYBOX_CONFIG = {
  Cmd: ["sh"],
  Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
};

/** The form of `docker save`. @see docker image-spec v1.2 */
export function dockerArchive(plans: readonly ImagePlan[]): Buffer {
  const entries = new Map<string, TarEntry>();
  const manifest = plans.map((plan) => {
    const config = imageConfig(plan);
    const configName = `${sha256(config)}.json`;
    entries.set(configName, { path: configName, kind: "file", data: config });
    const layers = plan.layers.map((layer) => {
      const path = `${sha256(layer)}/layer.tar`;
      entries.set(path, { path, kind: "file", data: layer });
      return path;
    });
    const tags = plan.reference === undefined ? null : [plan.reference];
    return { Config: configName, RepoTags: tags, Layers: layers };
  });
  const list: TarEntry = { path: "manifest.json", kind: "file", data: JSON.stringify(manifest) };
  return tarArchive([...entries.values(), list]);
}

/** An OCI image layout in a tar, layers compressed by gzip. @see OCI image-spec image-layout.md */
export function ociArchive(plans: readonly ImagePlan[]): Buffer {
  const entries = new Map<string, TarEntry>();
  const blob = (mediaType: string, data: Uint8Array): Descriptor => {
    const hex = sha256(data);
    const path = `blobs/sha256/${hex}`;
    entries.set(path, { path, kind: "file", data });
    return { mediaType, digest: `sha256:${hex}`, size: data.length };
  };
  const manifests = plans.map((plan) => {
    const manifest = {
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: blob(`${OCI}.config.v1+json`, imageConfig(plan)),
      layers: plan.layers.map((layer) => blob(`${OCI}.layer.v1.tar+gzip`, gzipSync(layer))),
    };
    const descriptor = blob(`${OCI}.manifest.v1+json`, Buffer.from(JSON.stringify(manifest)));
    const name = plan.reference;
    if (name === undefined) return descriptor;
    const tag = name.slice(name.lastIndexOf(":") + 1);
    const familiar = { "io.containerd.image.name": `docker.io/library/${name}` };
    return {
      ...descriptor,
      annotations: { ...familiar, "org.opencontainers.image.ref.name": tag },
    };
  });
  const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests };
  const head: TarEntry[] = [
    { path: "oci-layout", kind: "file", data: '{"imageLayoutVersion":"1.0.0"}' },
    { path: "index.json", kind: "file", data: JSON.stringify(index) },
    { path: "blobs", kind: "directory" },
    { path: "blobs/sha256", kind: "directory" },
  ];
  return tarArchive([...head, ...entries.values()]);
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const OCI = "application/vnd.oci.image";

function imageConfig(plan: ImagePlan): Buffer {
  const created = "2024-01-01T00:00:00Z"; // fixed: the image's id must not change from run to run
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const config = {
    architecture,
    os: "linux",
    created,
    config: plan.config ?? {},
    rootfs: { type: "layers", diff_ids: plan.layers.map((layer) => `sha256:${sha256(layer)}`) },
    history: plan.layers.map(() => ({ created, created_by: "naru test" })),
  };
  return Buffer.from(JSON.stringify(config));
}

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The programs that make the files: a change of theirs makes the cache stale. */
async function recipe(): Promise<Buffer> {
  const paths = ["../../scripts/base-image.ts", "../../scripts/tar-writer.ts", "rootfs.ts"];
  return Buffer.concat(
    await Promise.all(paths.map((path) => readFile(join(import.meta.dir, path)))),
  );
}

/** Written aside and renamed: test files run at the same time. */
async function keep(path: string, data: Uint8Array): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, data);
  await rename(aside, path);
}
