import type { DaemonOption } from "./daemon-option.ts";

/** Addresses and defaults of networks. The names are dockerd's. */
export const NETWORK_OPTIONS: readonly DaemonOption[] = [
  {
    key: "bip",
    flag: "bip",
    type: "string",
    help: "Address and prefix of the default bridge, such as 172.20.0.1/16",
  },
  {
    key: "bip6",
    flag: "bip6",
    type: "string",
    help: "IPv6 address and prefix of the default bridge, with --ipv6",
  },
  {
    key: "ipv6",
    flag: "ipv6",
    type: "boolean",
    help: "Give the default bridge IPv6 too: unique local addresses unless others are named",
  },
  {
    key: "fixed-cidr",
    flag: "fixed-cidr",
    type: "string",
    help: "Part of the default bridge's subnet that containers get addresses of",
  },
  {
    key: "fixed-cidr-v6",
    flag: "fixed-cidr-v6",
    type: "string",
    help: "The same for IPv6",
  },
  {
    key: "default-gateway",
    flag: "default-gateway",
    type: "string",
    help: "Gateway of containers on the default bridge, in place of the bridge",
  },
  {
    key: "default-gateway-v6",
    flag: "default-gateway-v6",
    type: "string",
    help: "The same for IPv6",
  },
  {
    key: "default-address-pools",
    flag: "default-address-pool",
    type: "pools",
    help: "Where subnets come from: base=10.20.0.0/16,size=24 (repeatable)",
  },
  {
    key: "default-network-opts",
    flag: "default-network-opt",
    type: "network-options",
    help: "Option of new networks of a driver: bridge=com.docker.network.driver.mtu=1400 (repeatable)",
  },
  {
    key: "host-gateway-ips",
    flag: "host-gateway-ip",
    type: "list",
    help: "What host-gateway means in --add-host: one address of each family at most",
  },
];
