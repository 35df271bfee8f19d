export type * from "./contract.ts";
export {
  createNetworkService,
  type NetworkServiceControl,
  type NetworkServiceOptions,
} from "./service.ts";
