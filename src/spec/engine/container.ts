import type { Timestamp } from "../../base/mod.ts";
import type { ContainerConfig } from "./container-config.ts";
import type { HostConfig, PortBinding, Resources, RestartPolicy } from "./host-config.ts";
import type { EndpointSettings, NetworkingConfig, NetworkSettings } from "./network.ts";

/** Body of `POST /containers/create` after decoding. */
export interface ContainerCreateBody extends ContainerConfig {
  HostConfig: HostConfig;
  NetworkingConfig: NetworkingConfig;
}

export type ContainerStatusWord =
  | "created"
  | "running"
  | "paused"
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

export interface ContainerState {
  Status: ContainerStatusWord;
  Running: boolean;
  Paused: boolean;
  Restarting: boolean;
  OOMKilled: boolean;
  Dead: boolean;
  Pid: number;
  ExitCode: number;
  Error: string;
  StartedAt: Timestamp;
  FinishedAt: Timestamp;
  /** Absent without a health check. */
  Health?: HealthReport;
}

/** @see reference engine-api Health */
export interface HealthReport {
  Status: "starting" | "healthy" | "unhealthy";
  FailingStreak: number;
  /** The last five, oldest first. */
  Log: { Start: Timestamp; End: Timestamp; ExitCode: number; Output: string }[];
}

/** `GET /containers/{id}/json`, in the newest shape; older shapes are made by the API's table. */
export interface ContainerInspect {
  Id: string;
  Created: Timestamp;
  Path: string;
  Args: string[];
  State: ContainerState;
  Image: string;
  ResolvConfPath: string;
  HostnamePath: string;
  HostsPath: string;
  LogPath: string;
  Name: string;
  RestartCount: number;
  Driver: string;
  Platform: string;
  MountLabel: string;
  ProcessLabel: string;
  AppArmorProfile: string;
  ExecIDs: string[] | null;
  HostConfig: HostConfig;
  /** Shown below API 1.52 only. */
  GraphDriver: { Name: string; Data: Record<string, string> };
  SizeRw?: number;
  SizeRootFs?: number;
  Mounts: MountPoint[];
  Config: ContainerConfig;
  NetworkSettings: NetworkSettings;
}

export interface MountPoint {
  Type: string;
  Name?: string;
  Source: string;
  Destination: string;
  Driver?: string;
  Mode: string;
  RW: boolean;
  Propagation: string;
}

export interface PortSummary {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

/** An element of `GET /containers/json`. */
export interface ContainerSummary {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Command: string;
  /** Unix seconds. */
  Created: number;
  Ports: PortSummary[];
  SizeRw?: number;
  SizeRootFs?: number;
  Labels: Record<string, string>;
  State: ContainerStatusWord;
  Status: string;
  HostConfig: { NetworkMode: string; Annotations?: Record<string, string> };
  NetworkSettings: { Networks: Record<string, EndpointSettings> };
  Mounts: MountPoint[];
  /** Status `none` without a check. Since API 1.52. */
  Health: { Status: string; FailingStreak: number };
}

/** Answer of `GET /containers/{id}/top`. */
export interface ContainerTop {
  Titles: string[];
  Processes: string[][];
}

/** Body of `POST /containers/{id}/update` after decoding; zero values ask for nothing. */
export interface ContainerUpdateBody extends Resources {
  RestartPolicy: RestartPolicy;
}

/**
 * Body of `POST /naru/v1/containers/{id}/ports` after decoding. What is removed may leave the
 * host's address and port open, or be an empty list: all that the port is published at.
 */
export interface PortsUpdateBody {
  Add: Record<string, PortBinding[] | null> | null;
  Remove: Record<string, PortBinding[] | null> | null;
}

/** Body of `POST /containers/{id}/exec` after decoding. */
export interface ExecCreateBody {
  User: string;
  Privileged: boolean;
  Tty: boolean;
  ConsoleSize: [number, number] | null;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  DetachKeys: string;
  Env: string[] | null;
  WorkingDir: string;
  Cmd: string[];
}

/** `GET /exec/{id}/json`. */
export interface ExecInspect {
  ID: string;
  Running: boolean;
  ExitCode: number | null;
  ProcessConfig: {
    tty: boolean;
    entrypoint: string;
    arguments: string[];
    privileged: boolean;
    user?: string;
  };
  OpenStdin: boolean;
  OpenStderr: boolean;
  OpenStdout: boolean;
  CanRemove: boolean;
  ContainerID: string;
  DetachKeys: string;
  Pid: number;
}
