export { type Decoder, isObject, parseJson } from "./decode.ts";
export * from "./engine/mod.ts";
export * from "./oci/mod.ts";
