/**
 * The container's part of the Engine API that travels with an image too. Fields have Go's zero
 * values when the client left them out (`""`, `false`, `null` for slices, maps and pointers), so
 * that an inspect echoes exactly what Docker would. @see reference engine-api ContainerConfig
 */
export interface ContainerConfig {
  Hostname: string;
  Domainname: string;
  User: string;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  /** Keys like `80/tcp`; values are always `{}`. */
  ExposedPorts?: Record<string, Record<string, never>> | null;
  Tty: boolean;
  OpenStdin: boolean;
  StdinOnce: boolean;
  Env: string[] | null;
  Cmd: string[] | null;
  Healthcheck?: HealthConfig | null;
  ArgsEscaped?: boolean;
  Image: string;
  Volumes: Record<string, Record<string, never>> | null;
  WorkingDir: string;
  Entrypoint: string[] | null;
  NetworkDisabled?: boolean;
  /** Until API 1.43; moved into the endpoint settings since. */
  MacAddress?: string;
  OnBuild: string[] | null;
  Labels: Record<string, string> | null;
  StopSignal?: string;
  /** Seconds; -1 waits for ever. */
  StopTimeout?: number | null;
  Shell?: string[] | null;
}

/** Durations in nanoseconds; 0 inherits. */
export interface HealthConfig {
  Test?: string[] | null;
  Interval?: number;
  Timeout?: number;
  Retries?: number;
  StartPeriod?: number;
  StartInterval?: number;
}
