export type * from "./contract.ts";
export { checkDnsSettings, parseExtraHost } from "./etc-files.ts";
export type * from "./firewall/contract.ts";
export {
  createNetworkService,
  type NetworkServiceControl,
  type NetworkServiceOptions,
} from "./service.ts";
