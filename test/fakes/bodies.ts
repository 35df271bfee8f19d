import type {
  ContainerConfig,
  ContainerCreateBody,
  ExecCreateBody,
  HostConfig,
  NetworkCreateBody,
} from "../../src/spec/mod.ts";

/** A Config as the API decodes `{}`. */
export function emptyConfig(): ContainerConfig {
  return {
    Hostname: "",
    Domainname: "",
    User: "",
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: null,
    Cmd: null,
    Image: "",
    Volumes: null,
    WorkingDir: "",
    Entrypoint: null,
    OnBuild: null,
    Labels: null,
  };
}

/** A HostConfig as the API decodes `{}`. */
export function emptyHostConfig(): HostConfig {
  return {
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: "",
    BlkioWeight: 0,
    BlkioWeightDevice: null,
    BlkioDeviceReadBps: null,
    BlkioDeviceWriteBps: null,
    BlkioDeviceReadIOps: null,
    BlkioDeviceWriteIOps: null,
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: "",
    CpusetMems: "",
    Devices: null,
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    Ulimits: null,
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    Binds: null,
    ContainerIDFile: "",
    LogConfig: { Type: "", Config: null },
    NetworkMode: "",
    PortBindings: null,
    RestartPolicy: { Name: "", MaximumRetryCount: 0 },
    AutoRemove: false,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    CgroupnsMode: "",
    Dns: null,
    DnsOptions: null,
    DnsSearch: null,
    ExtraHosts: null,
    GroupAdd: null,
    IpcMode: "",
    Cgroup: "",
    Links: null,
    OomScoreAdj: 0,
    PidMode: "",
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: "",
    UsernsMode: "",
    ShmSize: 0,
    Runtime: "",
    Isolation: "",
    MaskedPaths: null,
    ReadonlyPaths: null,
  };
}

export function createBody(
  config: Partial<ContainerConfig> = {},
  host: Partial<HostConfig> = {},
): ContainerCreateBody {
  return {
    ...emptyConfig(),
    Image: "busybox",
    Cmd: ["true"],
    ...config,
    HostConfig: { ...emptyHostConfig(), ...host },
    NetworkingConfig: { EndpointsConfig: null },
  };
}

export function execBody(over: Partial<ExecCreateBody> = {}): ExecCreateBody {
  return {
    User: "",
    Privileged: false,
    Tty: false,
    ConsoleSize: null,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    DetachKeys: "",
    Env: null,
    WorkingDir: "",
    Cmd: ["true"],
    ...over,
  };
}

/** A network of the driver bridge with everything left to the engine. */
export function networkBody(name: string): NetworkCreateBody {
  return {
    ...{ Name: name, Driver: "bridge", Scope: "local", Internal: false, Attachable: false },
    ...{ Ingress: false, ConfigOnly: false, ConfigFrom: null, IPAM: null },
    ...{ EnableIPv4: null, EnableIPv6: null, Options: null, Labels: null },
  };
}
