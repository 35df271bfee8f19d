export { createEngineApi, engineOperations } from "./engine-api.ts";
export type { EngineServices, RegistryService } from "./services.ts";
export type { SystemFacts } from "./system-facts.ts";
