import {
  type Decoder,
  field,
  flag,
  int64,
  list,
  map,
  object,
  omitEmpty,
  optional,
  pointer,
  text,
} from "../decode.ts";
import type {
  EndpointIpamConfig,
  EndpointSettings,
  NetworkConnectBody,
  NetworkCreateBody,
  NetworkDisconnectBody,
  NetworkIpam,
  NetworkIpamConfig,
} from "./network.ts";

export const endpointSettings: Decoder<EndpointSettings> = object<EndpointSettings>({
  IPAMConfig: field(
    pointer(
      object<EndpointIpamConfig>({
        IPv4Address: omitEmpty(text),
        IPv6Address: omitEmpty(text),
        LinkLocalIPs: omitEmpty(list(text)),
      }),
    ),
  ),
  Links: field(list(text)),
  Aliases: field(list(text)),
  MacAddress: field(text),
  DriverOpts: field(map(text)),
  GwPriority: omitEmpty(int64),
  NetworkID: field(text),
  EndpointID: field(text),
  Gateway: field(text),
  IPAddress: field(text),
  IPPrefixLen: field(int64),
  IPv6Gateway: field(text),
  GlobalIPv6Address: field(text),
  GlobalIPv6PrefixLen: field(int64),
  DNSNames: optional(list(text)),
});

const createBody: Decoder<NetworkCreateBody> = object<NetworkCreateBody>({
  Name: field(text),
  Driver: field(text),
  Scope: field(text),
  Internal: field(flag),
  Attachable: field(flag),
  Ingress: field(flag),
  ConfigOnly: field(flag),
  ConfigFrom: field(pointer(object<{ Network: string }>({ Network: field(text) }))),
  IPAM: field(
    pointer(
      object<NetworkIpam>({
        Driver: field(text),
        Options: field(map(text)),
        Config: field(
          list(
            object<NetworkIpamConfig>({
              Subnet: field(text),
              IPRange: field(text),
              Gateway: field(text),
              AuxiliaryAddresses: field(map(text)),
            }),
          ),
        ),
      }),
    ),
  ),
  EnableIPv4: field(pointer(flag)),
  EnableIPv6: field(pointer(flag)),
  Options: field(map(text)),
  Labels: field(map(text)),
});

/** Throws invalid_argument naming the field. */
export function decodeNetworkCreate(value: unknown): NetworkCreateBody {
  return createBody(value, "");
}

const connectBody: Decoder<NetworkConnectBody> = object<NetworkConnectBody>({
  Container: field(text),
  EndpointConfig: field(pointer(endpointSettings)),
});

export function decodeNetworkConnect(value: unknown): NetworkConnectBody {
  return connectBody(value, "");
}

const disconnectBody: Decoder<NetworkDisconnectBody> = object<NetworkDisconnectBody>({
  Container: field(text),
  Force: field(flag),
});

export function decodeNetworkDisconnect(value: unknown): NetworkDisconnectBody {
  return disconnectBody(value, "");
}
