import {
  type Decoder,
  type Fields,
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
  whole,
} from "../decode.ts";
import type { ContainerUpdateBody, PortsUpdateBody } from "./container.ts";
import type {
  BindOptions,
  DeviceMapping,
  DeviceRequest,
  HostConfig,
  IdMapping,
  LogConfig,
  Mount,
  PortBinding,
  Resources,
  RestartPolicy,
  ThrottleDevice,
  TmpfsOptions,
  Ulimit,
  VolumeOptions,
  WeightDevice,
} from "./host-config.ts";
import { checkPortKey } from "./port-key.ts";

const uint16: Decoder<number> = whole(0, 65_535);
const uint32: Decoder<number> = whole(0, 4_294_967_295);
const uint64: Decoder<number> = whole(0);

const throttle: Decoder<ThrottleDevice> = object<ThrottleDevice>({
  Path: field(text),
  Rate: field(uint64),
});

const RESOURCE_FIELDS: Fields<Resources> = {
  CpuShares: field(int64),
  Memory: field(int64),
  NanoCpus: field(int64),
  CgroupParent: field(text),
  BlkioWeight: field(uint16),
  BlkioWeightDevice: field(
    list(object<WeightDevice>({ Path: field(text), Weight: field(uint16) })),
  ),
  BlkioDeviceReadBps: field(list(throttle)),
  BlkioDeviceWriteBps: field(list(throttle)),
  BlkioDeviceReadIOps: field(list(throttle)),
  BlkioDeviceWriteIOps: field(list(throttle)),
  CpuPeriod: field(int64),
  CpuQuota: field(int64),
  CpuRealtimePeriod: field(int64),
  CpuRealtimeRuntime: field(int64),
  CpusetCpus: field(text),
  CpusetMems: field(text),
  Devices: field(
    list(
      object<DeviceMapping>({
        PathOnHost: field(text),
        PathInContainer: field(text),
        CgroupPermissions: field(text),
      }),
    ),
  ),
  DeviceCgroupRules: field(list(text)),
  DeviceRequests: field(
    list(
      object<DeviceRequest>({
        Driver: field(text),
        Count: field(int64),
        DeviceIDs: field(list(text)),
        Capabilities: field(list(textList())),
        Options: field(map(text)),
      }),
    ),
  ),
  MemoryReservation: field(int64),
  MemorySwap: field(int64),
  MemorySwappiness: field(pointer(int64)),
  OomKillDisable: field(pointer(flag)),
  PidsLimit: field(pointer(int64)),
  Ulimits: field(
    list(object<Ulimit>({ Name: field(text), Hard: field(int64), Soft: field(int64) })),
  ),
  CpuCount: field(int64),
  CpuPercent: field(int64),
  IOMaximumIOps: field(uint64),
  IOMaximumBandwidth: field(uint64),
};

const restartPolicy: Decoder<RestartPolicy> = object<RestartPolicy>({
  Name: field(text),
  MaximumRetryCount: field(int64),
});

const updateBody: Decoder<ContainerUpdateBody> = object<ContainerUpdateBody>({
  ...RESOURCE_FIELDS,
  RestartPolicy: field(restartPolicy),
});

/** Body of `POST /containers/{id}/update`. */
export function decodeContainerUpdate(value: unknown): ContainerUpdateBody {
  return updateBody(value, "");
}

const mount: Decoder<Mount> = object<Mount>({
  Type: field(text),
  Source: omitEmpty(text),
  Target: field(text),
  ReadOnly: omitEmpty(flag),
  Consistency: omitEmpty(text),
  BindOptions: optional(
    pointer(
      object<BindOptions>({
        Propagation: omitEmpty(text),
        NonRecursive: omitEmpty(flag),
        CreateMountpoint: omitEmpty(flag),
        ReadOnlyNonRecursive: omitEmpty(flag),
        ReadOnlyForceRecursive: omitEmpty(flag),
        IDMapping: optional(
          pointer(object<IdMapping>({ Source: omitEmpty(text), User: omitEmpty(text) })),
        ),
      }),
    ),
  ),
  VolumeOptions: optional(
    pointer(
      object<VolumeOptions>({
        NoCopy: omitEmpty(flag),
        Labels: omitEmpty(map(text)),
        DriverConfig: optional(
          pointer(
            object<{ Name?: string; Options?: Record<string, string> | null }>({
              Name: omitEmpty(text),
              Options: omitEmpty(map(text)),
            }),
          ),
        ),
        Subpath: omitEmpty(text),
      }),
    ),
  ),
  ImageOptions: optional(pointer(object<{ Subpath?: string }>({ Subpath: omitEmpty(text) }))),
  TmpfsOptions: optional(
    pointer(
      object<TmpfsOptions>({
        SizeBytes: omitEmpty(int64),
        Mode: omitEmpty(uint32),
        Options: omitEmpty(list(textList())),
      }),
    ),
  ),
});

const portBinding: Decoder<PortBinding> = object<PortBinding>({
  HostIp: field(text),
  HostPort: field(text),
});

const portBindings = map(list(portBinding), checkPortKey);

/** Body of `POST /naru/v1/containers/{id}/ports`. */
export function decodePortsUpdate(value: unknown): PortsUpdateBody {
  return portsUpdate(value, "");
}

const portsUpdate: Decoder<PortsUpdateBody> = object<PortsUpdateBody>({
  Add: field(portBindings),
  Remove: field(portBindings),
});

export const decodeHostConfig: Decoder<HostConfig> = object<HostConfig>({
  ...RESOURCE_FIELDS,
  Binds: field(list(text)),
  ContainerIDFile: field(text),
  LogConfig: field(object<LogConfig>({ Type: field(text), Config: field(map(text)) })),
  NetworkMode: field(text),
  PortBindings: field(portBindings),
  RestartPolicy: field(restartPolicy),
  AutoRemove: field(flag),
  VolumeDriver: field(text),
  VolumesFrom: field(list(text)),
  Mounts: omitEmpty(list(mount)),
  ConsoleSize: field(decodeConsoleSize),
  Annotations: omitEmpty(map(text)),
  CapAdd: field(list(text)),
  CapDrop: field(list(text)),
  CgroupnsMode: field(text),
  Dns: field(list(text)),
  DnsOptions: field(list(text)),
  DnsSearch: field(list(text)),
  ExtraHosts: field(list(text)),
  GroupAdd: field(list(text)),
  IpcMode: field(text),
  Cgroup: field(text),
  Links: field(list(text)),
  OomScoreAdj: field(int64),
  PidMode: field(text),
  Privileged: field(flag),
  PublishAllPorts: field(flag),
  ReadonlyRootfs: field(flag),
  SecurityOpt: field(list(text)),
  StorageOpt: omitEmpty(map(text)),
  Tmpfs: omitEmpty(map(text)),
  UTSMode: field(text),
  UsernsMode: field(text),
  ShmSize: field(int64),
  Sysctls: omitEmpty(map(text)),
  Runtime: field(text),
  Isolation: field(text),
  Init: optional(pointer(flag)),
  MaskedPaths: field(list(text)),
  ReadonlyPaths: field(list(text)),
});

/** [rows, columns]; shorter and longer lists are filled and cut, as Go's arrays are. */
export function decodeConsoleSize(value: unknown, path: string): [number, number] {
  const sizes = list(uint32)(value, path) ?? [];
  return [sizes[0] ?? 0, sizes[1] ?? 0];
}

function textList(): Decoder<string[]> {
  return (value, path) => list(text)(value, path) ?? [];
}
