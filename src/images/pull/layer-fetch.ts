import { type Clock, type Digest, errorMessage, isNaruError, NaruError } from "../../base/mod.ts";
import { chainIdsOf } from "../../oci/mod.ts";
import type { RegistryAccess, RegistryClient, RepositoryName } from "../../registry-client/mod.ts";
import type { Descriptor } from "../../spec/mod.ts";
import type { BlobStore, LayerStore } from "../../storage/mod.ts";
import type { LeaseGroup } from "../leases.ts";
import type { Emit } from "../progress.ts";
import type { BlobDownloads, BlobSource, Download } from "./blob-downloads.ts";
import { LayerProgress } from "./pull-progress.ts";
import type { RemotePlan } from "./remote-plan.ts";

export interface LayerFetchInput {
  readonly client: RegistryClient;
  readonly repository: RepositoryName;
  readonly access: RegistryAccess;
  readonly downloads: BlobDownloads;
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  readonly leases: LeaseGroup;
  readonly clock: Clock;
  readonly emit: Emit;
}

interface LayerState {
  readonly layer: Descriptor;
  readonly progress: LayerProgress;
  readonly download: Download;
  /** It was here before. */
  readonly present: boolean;
  downloaded: boolean;
}

/**
 * The layers of one pull: all are downloaded side by side, and each is unpacked while it comes, after
 * the one below it. When one fails, the others are left where they are.
 */
export class LayerFetch {
  readonly #plan: RemotePlan;
  readonly #input: LayerFetchInput;
  readonly #stop: AbortController = new AbortController();
  readonly #signal: AbortSignal;

  constructor(plan: RemotePlan, input: LayerFetchInput) {
    this.#plan = plan;
    this.#input = input;
    this.#signal = AbortSignal.any([input.access.signal, this.#stop.signal]);
  }

  async run(): Promise<void> {
    const { blobs } = this.#input;
    const states = new Map<Digest, LayerState>();
    for (const layer of this.#plan.layers) {
      if (states.has(layer.digest)) continue;
      const present = (await blobs.stat(layer.digest)) !== undefined;
      states.set(layer.digest, this.#start(layer, present));
    }
    try {
      await this.#unpackAll(states);
    } finally {
      this.#stop.abort();
      await Promise.allSettled([...states.values()].map(({ download }) => download.done));
    }
  }

  #start(layer: Descriptor, present: boolean): LayerState {
    const { downloads, leases, emit, clock } = this.#input;
    const progress = new LayerProgress(layer, emit, clock);
    progress.say(present ? "Already exists" : "Pulling fs layer");
    if (!present) progress.say("Waiting");
    const listener = {
      signal: this.#signal,
      beforeVisible: (digest: Digest) => leases.add(digest),
      onProgress: (bytes: number) => progress.bytes("Downloading", bytes),
      onVerify: () => progress.say("Verifying Checksum"),
    };
    const download = downloads.start(layer, this.#sourceOf(layer), listener);
    const state: LayerState = { layer, progress, download, present, downloaded: present };
    download.done.then(
      () => {
        state.downloaded = true;
        if (!present) progress.say("Download complete");
      },
      () => undefined, // told by whoever waits for it
    );
    return state;
  }

  #sourceOf(layer: Descriptor): BlobSource {
    const { client, repository, access } = this.#input;
    const { credentials } = access;
    return {
      open: (startBytes, signal) =>
        client.blob(repository, layer, { startBytes, access: { credentials, signal } }),
      damaged: () => client.damaged(layer.digest),
    };
  }

  async #unpackAll(states: ReadonlyMap<Digest, LayerState>): Promise<void> {
    const { layers } = this.#input;
    const { diff_ids: diffIds } = this.#plan.config.rootfs;
    const chainIds = chainIdsOf(diffIds);
    const failed = firstFailure(states);
    let parent: Digest | null = null;
    for (const [index, { digest }] of this.#plan.layers.entries()) {
      const state = states.get(digest) as LayerState;
      const chainId = chainIds[index] as Digest;
      const place = { parent, diffId: diffIds[index] as Digest };
      if (layers.get(chainId) === undefined) {
        await Promise.race([this.#unpack(state, place), failed]);
        state.progress.say("Pull complete");
      } else if (!state.present) {
        await Promise.race([state.download.done, failed]);
        state.progress.say("Pull complete");
      }
      parent = chainId;
    }
    for (const { download } of states.values()) await download.done;
  }

  async #unpack(
    state: LayerState,
    { parent, diffId }: { parent: Digest | null; diffId: Digest },
  ): Promise<void> {
    const { layers, blobs } = this.#input;
    const { download, layer, progress } = state;
    const options = {
      expectDiffId: diffId,
      signal: this.#signal,
      onProgress: (bytes: number) => {
        if (state.downloaded) progress.bytes("Extracting", bytes);
      },
    };
    try {
      await layers.apply(parent, await download.follow(), options);
    } catch (error) {
      if (this.#signal.aborted || isNaruError(error, "exhausted")) throw error;
      // What was followed may have been the wrong bytes, which the download noticed and mended.
      await download.done;
      await layers.apply(parent, blobs.read(layer.digest), options).catch((again: unknown) => {
        throw unpackError(again, layer);
      });
    }
    await download.done;
  }
}

function unpackError(error: unknown, layer: Descriptor): unknown {
  if (!isNaruError(error, "invalid_argument")) return error;
  const message = `layer ${layer.digest}: ${errorMessage(error)}`;
  return new NaruError(error.kind, message, error.details, { cause: error });
}

/** Rejects as soon as any download fails: layers above one that cannot come are not waited for. */
function firstFailure(states: ReadonlyMap<Digest, LayerState>): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  for (const { download } of states.values()) download.done.catch(reject);
  promise.catch(() => undefined); // nobody may be waiting
  return promise;
}
