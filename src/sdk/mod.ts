export {
  DEFAULT_DETACH_KEYS,
  DetachMatcher,
  parseDetachKeys,
  StdcopyDecoder,
  type StdcopyPart,
} from "../transport/mod.ts";
export type { TlsOptions } from "./byte-channel.ts";
export * from "./client.ts";
export type * from "./containers.ts";
export { type CallOptions, readText } from "./engine-caller.ts";
export type { FetchFunction } from "./fetch-wire.ts";
export type { Filters } from "./filters.ts";
export { parseHost } from "./host.ts";
export type { ImageImportQuery } from "./images.ts";
export { readJsonLines } from "./json-lines.ts";
export type { NetworkResource } from "./networks.ts";
export type { EventLine, VersionAnswer } from "./system.ts";
export type { HijackedStream, RequestBody, WireResponse } from "./wire.ts";
