export {
  API_VERSION_MAX,
  API_VERSION_MIN,
  type ApiVersion,
  formatApiVersion,
} from "./api-version.ts";
export { createEngineApi, engineOperations } from "./engine-api.ts";
export { ENGINE_STATUS } from "./errors.ts";
export type { EngineApiOptions, EngineServices } from "./services.ts";
export type { SystemCounts, SystemFacts } from "./system-facts.ts";
