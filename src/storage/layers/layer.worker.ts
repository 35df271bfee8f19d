import { NaruError } from "../../base/mod.ts";
import { CLONE_FS, umask, unshare } from "../../linux/mod.ts";
import { errorRecord } from "../metadata/database-error.ts";
import type { UnpackAnswer, UnpackRequest } from "./protocol.ts";
import { readFileChunks, unpackLayer } from "./unpack.ts";

/*
 * The thread that unpacks: decompression, parsing, hashing and writing, all away from the main
 * thread. The umask is its own, so that files are made with their mode in one call.
 */
declare const self: Worker;

unshare(CLONE_FS);
umask(0);

/** Chunks on their way here. */
const queue: Uint8Array[] = [];
let ended = false;
let aborted = false;
let wake: (() => void) | undefined;

self.onmessage = ({ data }: MessageEvent<UnpackRequest>) => {
  switch (data.kind) {
    case "unpack":
      queue.length = 0;
      ended = false;
      aborted = false;
      void run(data);
      return;
    case "chunk":
      queue.push(data.bytes);
      break;
    case "end":
      ended = true;
      break;
    case "abort":
      aborted = true;
      break;
  }
  wake?.();
};

async function run(request: UnpackRequest & { kind: "unpack" }): Promise<void> {
  const { source, root } = request;
  try {
    const chunks = source.kind === "file" ? readFileChunks(source.path) : receivedChunks();
    const knownDigest = source.kind === "file" ? source.digest : undefined;
    const result = await unpackLayer(chunks, { root, knownDigest, onProgress, checkAborted });
    self.postMessage({ kind: "done", result } satisfies UnpackAnswer);
  } catch (error) {
    self.postMessage({ kind: "failed", error: errorRecord(error) } satisfies UnpackAnswer);
  }
}

function onProgress(bytes: number): void {
  self.postMessage({ kind: "progress", bytes } satisfies UnpackAnswer);
}

function checkAborted(): void {
  if (aborted) throw new NaruError("cancelled", "unpacking was cancelled");
}

async function* receivedChunks(): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    checkAborted();
    const chunk = queue.shift();
    if (chunk !== undefined) {
      self.postMessage({ kind: "want" } satisfies UnpackAnswer);
      yield chunk;
    } else if (ended) {
      return;
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  }
}
