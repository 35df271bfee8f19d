import type { Digest } from "../base/mod.ts";
import type { RegistryCredentials } from "../registry-client/mod.ts";
import type {
  AttestationStatement,
  BlobCheck,
  ContainerConfig,
  HistoryItem,
  ImageConfig,
  ImageDeleteItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
  StoredThing,
} from "../spec/mod.ts";
import type { ByteStream } from "../storage/mod.ts";

/** An image found by id, short id, tag or digest, with what a container needs of it. */
export interface ResolvedImage {
  /** The config blob's digest. */
  readonly id: Digest;
  readonly config: ImageConfig;
  /** `config.config` in full shape: zero values where the image says nothing. */
  readonly containerConfig: ContainerConfig;
  /** null for an image without layers. */
  readonly chainId: Digest | null;
  readonly repoTags: readonly string[];
}

/** Who uses images; supplied by the composition root, because images know no containers. */
export interface ImageUsers {
  usersOf(id: Digest): readonly { containerId: string; running: boolean }[];
}

export interface ImageService {
  /** Throws not_found with Docker's words (`No such image: x:latest`), conflict when ambiguous. */
  resolve(name: string): ResolvedImage;
  /** As resolve, or undefined when there is none; never throws for a missing image. */
  find(name: string): ResolvedImage | undefined;
  /** A docker-archive or an OCI layout; plain, gzip or zstd. Yields progress; throws before the first yield or later. */
  load(source: ByteStream, options: ImageLoadOptions): AsyncIterable<ProgressMessage>;
  /** `images/create?fromSrc`: one root file system as an image. */
  import(source: ByteStream, options: ImageImportOptions): AsyncIterable<ProgressMessage>;
  /** An image of `parent` with one more layer, which `layer` brings as a plain tar. Durable when resolved. */
  commit(parent: Digest, layer: ByteStream, options: ImageCommitOptions): Promise<Digest>;
  /** One archive of images: a docker-archive and an OCI layout. Throws not_found before the stream. */
  save(names: readonly string[]): Promise<ByteStream>;
  /**
   * Images from a registry. What fails before anything is pulled throws before the first message. An
   * interrupted pull goes on where it was, also after the engine was killed.
   */
  pull(options: ImagePullOptions): AsyncIterable<ProgressMessage>;
  /** Sends what the registry lacks: blobs first, the tag last. */
  push(options: ImagePushOptions): AsyncIterable<ProgressMessage>;
  list(options: ImageListOptions): Promise<ImageSummary[]>;
  /** Throws not_found when the image is not here for `platform` ("" is the one that the name is for). */
  inspect(name: string, options?: ImageLookOptions): Promise<ImageInspect>;
  history(name: string, platform?: string): Promise<HistoryItem[]>;
  /** In-toto statements about the image of a platform; none when nothing is attested. */
  attestations(name: string, options: AttestationOptions): Promise<AttestationStatement[]>;
  /** Throws invalid_argument for a bad reference, not_found. Durable when resolved. */
  tag(name: string, target: { repo: string; tag: string }): Promise<void>;
  /** Docker's untag semantics. Throws conflict with Docker's words when in use. */
  remove(name: string, options: { force: boolean; noprune: boolean }): Promise<ImageDeleteItem[]>;
  /** Number of images, for `info`. */
  count(): number;
  /** Keeps an image's layers and blobs while a container is made from it. */
  lease(id: Digest): Disposable;
  /** Reads all blobs of all images; with `repair`, fetches bad ones from the images' registries. */
  verify(options: ImageVerifyOptions): AsyncIterable<BlobCheck>;
  /** What is in the store, and why it stays; without a reason it would be collected now. */
  stored(): AsyncIterable<StoredThing>;
  /** Removes blobs and layers that nothing refers to; says what it freed. */
  collectGarbage(): Promise<{ freedBytes: number; blobs: number; layers: number }>;
}

export interface ImageLookOptions {
  /** `os[/arch[/variant]]`; "" for the image that the name is for. */
  readonly platform: string;
  /** With a summary of each manifest of the index. */
  readonly manifests: boolean;
}

export interface AttestationOptions {
  /** "" for the host's. */
  readonly platform: string;
  /** Predicate types; empty for all. */
  readonly types: readonly string[];
  /** With the statements' text. */
  readonly statement: boolean;
}

export interface ImageVerifyOptions {
  readonly repair: boolean;
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal;
}

export interface ImageLoadOptions {
  readonly quiet: boolean;
  readonly signal: AbortSignal;
}

export interface ImagePullOptions {
  /** `repo`, `repo:tag` or `repo@digest`. */
  readonly name: string;
  /** A tag or a digest; "" for what `name` says, or every tag with `allTags`. */
  readonly tag: string;
  readonly allTags: boolean;
  /** `os[/arch[/variant]]` or empty for the host's. */
  readonly platform: string;
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal;
}

export interface ImagePushOptions {
  readonly name: string;
  /** Push this variant alone, by its own manifest; "" for all that the name stands for. */
  readonly platform?: string;
  /** "" for every tag of the repository that is here. */
  readonly tag: string;
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal;
}

export interface ImageImportOptions {
  readonly repo: string;
  readonly tag: string;
  readonly message: string;
  /** Dockerfile instructions: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR, HEALTHCHECK. */
  readonly changes: readonly string[];
  /** `os[/arch[/variant]]` or empty for the host's. */
  readonly platform: string;
  readonly signal: AbortSignal;
}

export interface ImageCommitOptions {
  /** What containers of the image start with. */
  readonly config: ContainerConfig;
  readonly author: string;
  readonly comment: string;
  /** The command that made the layer, for the history. */
  readonly createdBy: string;
  /** "" for an image without a name. */
  readonly repo: string;
  readonly tag: string;
  readonly signal: AbortSignal;
}

export interface ImageListOptions {
  readonly all: boolean;
  readonly sharedSize: boolean;
  readonly manifests?: boolean;
  /** Parsed filters by key: before, dangling, label, reference, since, until. */
  readonly filters: ReadonlyMap<string, readonly string[]>;
}
