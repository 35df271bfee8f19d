export type * from "./contract.ts";
export { checkDnsSettings, parseExtraHost } from "./etc-files.ts";
export type { PortProtocol, PublishedPort } from "./firewall/contract.ts";
export { runNetd } from "./netd/netd.ts";
export type { PortRequest } from "./ports/contract.ts";
export {
  createNetworkService,
  type NetworkServiceControl,
  type NetworkServiceOptions,
} from "./service.ts";
