import { NaruError } from "../../base/mod.ts";
import {
  type Decoder,
  field,
  flag,
  hasAnyField,
  int64,
  list,
  map,
  object,
  omitEmpty,
  optional,
  pointer,
  text,
} from "../decode.ts";
import type { ContainerCreateBody, ExecCreateBody } from "./container.ts";
import { CONTAINER_CONFIG_FIELDS } from "./container-config-decoder.ts";
import { decodeConsoleSize, decodeHostConfig } from "./host-config-decoder.ts";
import type { EndpointIpamConfig, EndpointSettings, NetworkingConfig } from "./network.ts";

const endpoint: Decoder<EndpointSettings> = object<EndpointSettings>({
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

const createBody: Decoder<ContainerCreateBody> = object<ContainerCreateBody>({
  ...CONTAINER_CONFIG_FIELDS,
  HostConfig: field(decodeHostConfig),
  NetworkingConfig: field(
    object<NetworkingConfig>({ EndpointsConfig: field(map(pointer(endpoint))) }),
  ),
});

/** Body of `POST /containers/create`. */
export function decodeContainerCreate(value: unknown): ContainerCreateBody {
  const body = createBody(value, "");
  if (!hasAnyField(value, Object.keys(CONTAINER_CONFIG_FIELDS))) {
    throw new NaruError(
      "invalid_argument",
      "Config cannot be empty in order to create a container",
    );
  }
  return body;
}

const execBody: Decoder<ExecCreateBody> = object<ExecCreateBody>({
  User: field(text),
  Privileged: field(flag),
  Tty: field(flag),
  ConsoleSize: field(pointer(decodeConsoleSize)),
  AttachStdin: field(flag),
  AttachStdout: field(flag),
  AttachStderr: field(flag),
  DetachKeys: field(text),
  Env: field(list(text)),
  WorkingDir: field(text),
  Cmd: field((value, path) => list(text)(value, path) ?? []),
});

/** Body of `POST /containers/{id}/exec`. */
export function decodeExecCreate(value: unknown): ExecCreateBody {
  const body = execBody(value, "");
  if (body.Cmd.length === 0) throw new NaruError("invalid_argument", "No exec command specified");
  return body;
}

/** Body of `POST /exec/{id}/start`. */
export interface ExecStartBody {
  Detach: boolean;
  /** null when the client did not say: the exec's own. */
  Tty: boolean | null;
  ConsoleSize: [number, number] | null;
}

const startBody: Decoder<ExecStartBody> = object<ExecStartBody>({
  Detach: field(flag),
  Tty: field(pointer(flag)),
  ConsoleSize: field(pointer(decodeConsoleSize)),
});

export function decodeExecStart(value: unknown): ExecStartBody {
  return startBody(value, "");
}
