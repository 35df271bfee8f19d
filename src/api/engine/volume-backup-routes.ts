import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, createZstdCompress } from "node:zlib";
import { NaruError } from "../../base/mod.ts";
import { streamBody } from "../../transport/mod.ts";
import { send } from "./archive-routes.ts";
import type { Call } from "./call.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

/** naru's own: copies of volumes. Documented in docs/decisions/0121. */

const CONTENT_TYPES = {
  none: "application/x-tar",
  gzip: "application/gzip",
  zstd: "application/zstd",
} as const;

const snapshot: PlainHandler = async (call, { volumes }) => {
  const name = call.query.text("name");
  const pause = call.query.flagOr("pause", true);
  call.json(await volumes.backups.snapshot(call.param, { name, pause }), 201);
};

const snapshots: PlainHandler = async (call, { volumes }) => {
  call.json(await volumes.backups.list(call.query.text("volume")));
};

const removeSnapshot: PlainHandler = async (call, { volumes }) => {
  await volumes.backups.removeSnapshot(call.param, required(call, "name"));
  call.empty(204);
};

const restore: PlainHandler = async (call, { volumes }) => {
  await volumes.backups.restore(call.param, required(call, "snapshot"));
  call.empty(204);
};

const exportVolume: PlainHandler = async (call, context) => {
  const compress = call.query.text("compress") || "none";
  if (compress !== "none" && compress !== "gzip" && compress !== "zstd") {
    throw new NaruError("invalid_argument", "compress: want none, gzip or zstd");
  }
  const wanted = { snapshot: call.query.text("snapshot") };
  const plainOutput = await context.volumes.backups.export(call.param, wanted);
  const output = {
    stream: compress === "none" ? plainOutput.stream : compressed(plainOutput.stream, compress),
    close: () => plainOutput.close(),
  };
  await send(call, context, output, CONTENT_TYPES[compress]);
};

async function* compressed(
  source: AsyncIterable<Uint8Array>,
  kind: "gzip" | "zstd",
): AsyncGenerator<Uint8Array, void, undefined> {
  const compressor = kind === "gzip" ? createGzip() : createZstdCompress();
  const pumped = pipeline(Readable.from(source), compressor);
  pumped.catch(() => undefined); // told below, at the end of what there is
  for await (const chunk of compressor) yield chunk as Uint8Array;
  await pumped;
}

const importVolume: PlainHandler = async (call, { volumes, options }) => {
  const body = streamBody(call.request, options.uploadIdleMs);
  await volumes.backups.import(call.param, body, { replace: call.query.flag("replace") });
  call.empty(204);
};

function required(call: Call, name: string): string {
  const value = call.query.text(name);
  if (value === "") throw new NaruError("invalid_argument", `${name}: is required`);
  return value;
}

export const VOLUME_BACKUP_ROUTES: readonly EngineRoute[] = [
  plain("GET /naru/v1/volumes/snapshots", snapshots),
  plain("POST /naru/v1/volumes/{id}/snapshot", snapshot),
  plain("DELETE /naru/v1/volumes/{id}/snapshot", removeSnapshot),
  plain("POST /naru/v1/volumes/{id}/restore", restore),
  plain("GET /naru/v1/volumes/{id}/export", exportVolume),
  plain("POST /naru/v1/volumes/{id}/import", importVolume),
];
