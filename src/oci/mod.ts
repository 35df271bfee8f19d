export * from "./chain-id.ts";
export * from "./tar-entry.ts";
export { BLOCK_BYTES, isAscii } from "./tar-header.ts";
export * from "./tar-parser.ts";
export * from "./tar-reader.ts";
export * from "./tar-writer.ts";
