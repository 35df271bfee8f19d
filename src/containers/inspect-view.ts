import { formatTimestamp, ZERO_TIME } from "../base/mod.ts";
import type { PublishedPort } from "../network/mod.ts";
import type {
  ContainerInspect,
  ContainerState,
  EndpointSettings,
  MountPoint,
  NetworkSettings,
} from "../spec/mod.ts";
import { commandOf } from "./config-merge.ts";
import type { HealthState } from "./health-state.ts";
import { portMapView } from "./port-plan.ts";
import type { ContainerRecord, RecordedMount } from "./record.ts";
import { isRunning, lastExit, shownState, statusWord } from "./state.ts";

/** What an inspect needs beside the record. */
export interface InspectFacts {
  readonly bundleDir: string;
  readonly logPath: string;
  readonly driverName: string;
  readonly driverData: Record<string, string>;
  readonly execIds: readonly string[];
  /** undefined without a check. */
  readonly health: HealthState | undefined;
  /** By network name; empty where the container shares another's. */
  readonly networks: Record<string, EndpointSettings>;
  readonly published: readonly PublishedPort[];
  readonly pathOfVolume: (name: string) => string;
  readonly size: { readonly rwBytes: number; readonly rootBytes: number } | undefined;
}

/** The answer of `GET /containers/{id}/json`. */
export function inspectView(record: ContainerRecord, facts: InspectFacts): ContainerInspect {
  const [path = "", ...args] = commandOf(record.config);
  const isNone = record.hostConfig.LogConfig.Type === "none";
  const etc = (name: string): string =>
    record.runNumber === 0 ? "" : `${facts.bundleDir}/${name}`;
  return {
    Id: record.id,
    Created: formatTimestamp(BigInt(record.createdAtNs)),
    Path: path,
    Args: args,
    State: stateView(record, facts.health),
    Image: record.imageId,
    ResolvConfPath: etc("resolv.conf"),
    HostnamePath: etc("hostname"),
    HostsPath: etc("hosts"),
    LogPath: isNone || record.runNumber === 0 ? "" : facts.logPath,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: facts.driverName,
    Platform: record.platform,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: facts.execIds.length === 0 ? null : [...facts.execIds],
    HostConfig: record.hostConfig,
    GraphDriver: { Name: facts.driverName, Data: facts.driverData },
    ...(facts.size === undefined
      ? {}
      : { SizeRw: facts.size.rwBytes, SizeRootFs: facts.size.rootBytes }),
    Mounts: record.mounts.filter(isShown).map((one) => mountView(one, facts.pathOfVolume)),
    Config: record.config,
    NetworkSettings: networkView(record, facts),
  };
}

/** `--tmpfs` is shown in HostConfig alone. */
function isShown(one: RecordedMount): boolean {
  return one.origin !== "tmpfs";
}

function stateView(record: ContainerRecord, health: HealthState | undefined): ContainerState {
  const { state } = record;
  const shown = shownState(state);
  const exit = lastExit(state);
  const startedAtNs = shown.kind === "running" ? shown.startedAtNs : exit?.startedAtNs;
  const running = isRunning(state);
  const exitCode = shown.kind === "created" ? shown.exitCode : (exit?.exitCode ?? 0);
  return {
    Status: statusWord(state),
    // Docker calls a container that waits for its restart running.
    Running: running || shown.kind === "restarting",
    Paused: shown.kind === "running" && shown.paused,
    Restarting: shown.kind === "restarting",
    OOMKilled: exit?.oomKilled ?? false,
    Dead: false,
    Pid: shown.kind === "running" ? shown.handle.pid : 0,
    ExitCode: exitCode,
    Error: shown.kind === "created" ? shown.error : (exit?.error ?? ""),
    StartedAt: startedAtNs === undefined ? ZERO_TIME : formatTimestamp(BigInt(startedAtNs)),
    FinishedAt: exit === undefined ? ZERO_TIME : formatTimestamp(BigInt(exit.finishedAtNs)),
    ...(health === undefined ? {} : { Health: health }),
  };
}

export function mountView(one: RecordedMount, pathOfVolume: (name: string) => string): MountPoint {
  switch (one.type) {
    case "volume":
      return {
        Type: "volume",
        Name: one.volumeName,
        Source: pathOfVolume(one.volumeName),
        Destination: one.destination,
        Driver: one.volumeDriver ?? "local",
        Mode: one.mode,
        RW: !one.readOnly,
        Propagation: "",
      };
    case "bind":
      return {
        Type: "bind",
        Source: one.source,
        Destination: one.destination,
        Mode: one.mode,
        RW: !one.readOnly,
        Propagation: one.propagation,
      };
    case "image":
      return {
        Type: "image",
        Source: one.source,
        Destination: one.destination,
        Mode: one.mode,
        RW: false,
        Propagation: "",
      };
    case "tmpfs":
      return {
        Type: "tmpfs",
        Source: "",
        Destination: one.destination,
        Mode: one.mode,
        RW: !one.readOnly,
        Propagation: "",
      };
  }
}

function networkView(
  record: ContainerRecord,
  { networks, published }: Pick<InspectFacts, "networks" | "published">,
): NetworkSettings {
  const [endpoint] = record.endpoints;
  const shown = record.state.kind === "running" && endpoint !== undefined;
  const ports = shown ? portMapView(record.config, record.hostConfig, published) : {};
  return {
    SandboxID: endpoint?.endpointId ?? "",
    SandboxKey: endpoint?.netnsPath ?? "",
    Ports: ports,
    Networks: networks,
  };
}

/** A network that the container is to be on, before it has an endpoint. */
export function emptyEndpoint(networkId: string): EndpointSettings {
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: null,
    MacAddress: "",
    DriverOpts: null,
    NetworkID: networkId,
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}
