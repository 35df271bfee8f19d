export type * from "./contract.ts";
export { createRegistryClient } from "./registry-client.ts";
