import type { ContainerConfig, HostConfig } from "../spec/mod.ts";

/**
 * How a field of a create request is treated. `honoured`: it does what Docker's does. `recorded`:
 * it changes nothing in the engine by its nature and is shown again. `refused`: asking for
 * something is an error that names the field; zero and default values pass.
 */
export interface FieldTreatment {
  readonly treatment: "honoured" | "recorded" | "refused";
  /** The file that does it, under `src/`. */
  readonly where: string;
  /**
   * The file of the test that proves it. Of an end-to-end test (`test/e2e/`) the name is the
   * field's own: `HostConfig.Memory`.
   */
  readonly proof: string;
}

const FIELDS_PROOF = "test/e2e/fields.test.ts";
const LIMITS_PROOF = "test/e2e/fields-limits.test.ts";

function honoured(where: string): FieldTreatment {
  return { treatment: "honoured", where, proof: FIELDS_PROOF };
}
function limited(where: string): FieldTreatment {
  return { treatment: "honoured", where, proof: LIMITS_PROOF };
}
const recorded: FieldTreatment = {
  treatment: "recorded",
  where: "containers/record.ts",
  proof: FIELDS_PROOF,
};
const refused: FieldTreatment = {
  treatment: "refused",
  where: "containers/host-config-check.ts",
  proof: "src/containers/fields.test.ts",
};

const INPUT = "containers/spec-input.ts";
const MERGE = "containers/config-merge.ts";
const RESOURCES = "runtime/spec-builder/resources.ts";
const MOUNTS = "containers/mounts-plan.ts";
const NETWORK = "containers/start-parts.ts";

/** Every field of Config; a field that the contract gains does not compile without a row. */
export const CONFIG_FIELDS: Readonly<Record<keyof ContainerConfig, FieldTreatment>> = {
  Hostname: honoured(INPUT),
  Domainname: honoured(INPUT),
  User: honoured("containers/user.ts"),
  AttachStdin: recorded,
  AttachStdout: recorded,
  AttachStderr: recorded,
  ExposedPorts: honoured("containers/inspect-view.ts"),
  Tty: honoured(INPUT),
  OpenStdin: honoured("containers/start-parts.ts"),
  StdinOnce: honoured("containers/start-parts.ts"),
  Env: honoured(MERGE),
  Cmd: honoured(MERGE),
  Healthcheck: honoured("containers/health.ts"),
  ArgsEscaped: recorded, // of Windows images
  Image: honoured("containers/create.ts"),
  Volumes: honoured(MOUNTS),
  WorkingDir: honoured("containers/rootfs.ts"),
  Entrypoint: honoured(MERGE),
  NetworkDisabled: honoured("containers/create.ts"),
  MacAddress: honoured(NETWORK),
  OnBuild: recorded, // of builds
  Labels: honoured("containers/list-filter.ts"),
  StopSignal: honoured("containers/stop.ts"),
  StopTimeout: honoured("containers/stop.ts"),
  Shell: recorded, // of builds
};

/** Every field of HostConfig, those of Resources included. */
export const HOST_CONFIG_FIELDS: Readonly<Record<keyof HostConfig, FieldTreatment>> = {
  CpuShares: limited(RESOURCES),
  Memory: limited(RESOURCES),
  NanoCpus: limited(RESOURCES),
  CgroupParent: limited(INPUT),
  BlkioWeight: limited(RESOURCES),
  BlkioWeightDevice: limited(RESOURCES),
  BlkioDeviceReadBps: limited(RESOURCES),
  BlkioDeviceWriteBps: limited(RESOURCES),
  BlkioDeviceReadIOps: limited(RESOURCES),
  BlkioDeviceWriteIOps: limited(RESOURCES),
  CpuPeriod: limited(RESOURCES),
  CpuQuota: limited(RESOURCES),
  CpuRealtimePeriod: limited(RESOURCES),
  CpuRealtimeRuntime: limited(RESOURCES),
  CpusetCpus: limited(RESOURCES),
  CpusetMems: limited(RESOURCES),
  Devices: limited("runtime/spec-builder/host-devices.ts"),
  DeviceCgroupRules: limited(RESOURCES),
  DeviceRequests: limited("containers/cdi.ts"),
  MemoryReservation: limited(RESOURCES),
  MemorySwap: limited(RESOURCES),
  MemorySwappiness: limited(RESOURCES),
  OomKillDisable: limited(RESOURCES),
  PidsLimit: limited(RESOURCES),
  Ulimits: limited("runtime/spec-builder/build.ts"),
  CpuCount: refused,
  CpuPercent: refused,
  IOMaximumIOps: refused,
  IOMaximumBandwidth: refused,
  Binds: honoured(MOUNTS),
  ContainerIDFile: recorded, // the client writes it
  LogConfig: honoured("containers/log-config.ts"),
  NetworkMode: honoured(NETWORK),
  PortBindings: honoured("containers/port-plan.ts"),
  RestartPolicy: honoured("containers/restart-policy.ts"),
  AutoRemove: honoured("containers/exit.ts"),
  VolumeDriver: honoured(MOUNTS),
  VolumesFrom: honoured(MOUNTS),
  Mounts: honoured(MOUNTS),
  ConsoleSize: honoured(INPUT),
  Annotations: honoured("runtime/spec-builder/build.ts"),
  CapAdd: honoured("runtime/capabilities.ts"),
  CapDrop: honoured("runtime/capabilities.ts"),
  CgroupnsMode: honoured(INPUT),
  Dns: honoured(NETWORK),
  DnsOptions: honoured(NETWORK),
  DnsSearch: honoured(NETWORK),
  ExtraHosts: honoured(NETWORK),
  GroupAdd: honoured("containers/user.ts"),
  IpcMode: honoured(INPUT),
  Cgroup: refused,
  Links: honoured("containers/links.ts"),
  OomScoreAdj: limited(INPUT),
  PidMode: honoured(INPUT),
  Privileged: honoured(INPUT),
  PublishAllPorts: honoured("containers/port-plan.ts"),
  ReadonlyRootfs: honoured(INPUT),
  SecurityOpt: honoured("containers/security-opt.ts"),
  StorageOpt: {
    treatment: "honoured",
    where: "storage/layers/writable-layers.ts",
    proof: "test/vm/guest/volume-limits.ts", // most hosts mount without quotas
  },
  Tmpfs: honoured(MOUNTS),
  UTSMode: honoured(INPUT),
  UsernsMode: refused,
  ShmSize: honoured(INPUT),
  Sysctls: honoured("runtime/spec-builder/build.ts"),
  Runtime: honoured("containers/create.ts"),
  Isolation: refused,
  Init: honoured(INPUT),
  MaskedPaths: honoured(INPUT),
  ReadonlyPaths: honoured(INPUT),
};
