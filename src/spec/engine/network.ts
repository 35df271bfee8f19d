/** One container's place on one network. @see reference engine-api EndpointSettings */
export interface EndpointSettings {
  IPAMConfig: EndpointIpamConfig | null;
  Links: string[] | null;
  Aliases: string[] | null;
  MacAddress: string;
  DriverOpts: Record<string, string> | null;
  GwPriority?: number;
  NetworkID: string;
  EndpointID: string;
  Gateway: string;
  IPAddress: string;
  IPPrefixLen: number;
  IPv6Gateway: string;
  GlobalIPv6Address: string;
  GlobalIPv6PrefixLen: number;
  DNSNames?: string[] | null;
}

export interface EndpointIpamConfig {
  IPv4Address?: string;
  IPv6Address?: string;
  LinkLocalIPs?: string[] | null;
}

export interface NetworkingConfig {
  EndpointsConfig: Record<string, EndpointSettings | null> | null;
}

/** `NetworkSettings` of an inspect. The legacy bridge fields are added for API < 1.52 only. */
export interface NetworkSettings {
  SandboxID: string;
  SandboxKey: string;
  Ports: Record<string, { HostIp: string; HostPort: string }[] | null>;
  Networks: Record<string, EndpointSettings>;
}

/** Body of `POST /networks/create`. */
export interface NetworkCreateBody {
  Name: string;
  Driver: string;
  Scope: string;
  Internal: boolean;
  Attachable: boolean;
  Ingress: boolean;
  ConfigOnly: boolean;
  ConfigFrom: { Network: string } | null;
  IPAM: NetworkIpam | null;
  /** null: the driver's default. */
  EnableIPv4: boolean | null;
  EnableIPv6: boolean | null;
  Options: Record<string, string> | null;
  Labels: Record<string, string> | null;
}

export interface NetworkIpam {
  Driver: string;
  Options: Record<string, string> | null;
  Config: NetworkIpamConfig[] | null;
}

export interface NetworkIpamConfig {
  Subnet: string;
  IPRange: string;
  Gateway: string;
  AuxiliaryAddresses: Record<string, string> | null;
}

/** Body of `POST /networks/{id}/connect`. */
export interface NetworkConnectBody {
  Container: string;
  EndpointConfig: EndpointSettings | null;
}

/** Body of `POST /networks/{id}/disconnect`. */
export interface NetworkDisconnectBody {
  Container: string;
  Force: boolean;
}

/** One thing that a diagnosis found. `GET /naru/v1/containers/{id}/doctor` */
export interface Finding {
  Level: "ok" | "note" | "problem";
  Text: string;
  /** What to do about it; "" where nothing is to be done. */
  Hint: string;
}
