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
  textOrList,
} from "../decode.ts";
import type { ContainerConfig, HealthConfig } from "./container-config.ts";
import { checkPortKey } from "./port-key.ts";

/** `struct{}`: members are ignored, as Go does. */
const nothing: Decoder<Record<string, never>> = object<Record<string, never>>({});

export const decodeHealthConfig: Decoder<HealthConfig> = object<HealthConfig>({
  Test: omitEmpty(list(text)),
  Interval: omitEmpty(int64),
  Timeout: omitEmpty(int64),
  Retries: omitEmpty(int64),
  StartPeriod: omitEmpty(int64),
  StartInterval: omitEmpty(int64),
});

export const CONTAINER_CONFIG_FIELDS: Fields<ContainerConfig> = {
  Hostname: field(text),
  Domainname: field(text),
  User: field(text),
  AttachStdin: field(flag),
  AttachStdout: field(flag),
  AttachStderr: field(flag),
  ExposedPorts: omitEmpty(map(nothing, checkPortKey)),
  Tty: field(flag),
  OpenStdin: field(flag),
  StdinOnce: field(flag),
  Env: field(list(text)),
  Cmd: field(textOrList),
  Healthcheck: optional(pointer(decodeHealthConfig)),
  ArgsEscaped: omitEmpty(flag),
  Image: field(text),
  Volumes: field(map(nothing)),
  WorkingDir: field(text),
  Entrypoint: field(textOrList),
  NetworkDisabled: omitEmpty(flag),
  MacAddress: omitEmpty(text),
  OnBuild: field(list(text)),
  Labels: field(map(text)),
  StopSignal: omitEmpty(text),
  StopTimeout: optional(pointer(int64)),
  Shell: omitEmpty(list(text)),
};

/** Also of an image's `config`: absent fields become zero values. */
export const decodeContainerConfig: Decoder<ContainerConfig> =
  object<ContainerConfig>(CONTAINER_CONFIG_FIELDS);
