export * from "./engine/mod.ts";
export * from "./oci/mod.ts";
