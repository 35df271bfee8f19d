export * from "./detach-keys.ts";
export * from "./drained-write.ts";
export * from "./hijack.ts";
export * from "./http-server.ts";
export * from "./json-stream.ts";
export * from "./listen.ts";
export * from "./request-body.ts";
export * from "./stdcopy.ts";
