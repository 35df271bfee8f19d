export type * from "./contract.ts";
export { checkDnsSettings, parseExtraHost } from "./etc-files.ts";
export {
  createNetworkService,
  type NetworkServiceControl,
  type NetworkServiceOptions,
} from "./service.ts";
