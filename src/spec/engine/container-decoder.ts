import { NaruError } from "../../base/mod.ts";
import {
  type Decoder,
  field,
  flag,
  hasAnyField,
  list,
  map,
  object,
  pointer,
  text,
} from "../decode.ts";
import type { ContainerCreateBody, ExecCreateBody } from "./container.ts";
import { CONTAINER_CONFIG_FIELDS } from "./container-config-decoder.ts";
import { decodeConsoleSize, decodeHostConfig } from "./host-config-decoder.ts";
import type { NetworkingConfig } from "./network.ts";
import { endpointSettings } from "./network-decoder.ts";

const createBody: Decoder<ContainerCreateBody> = object<ContainerCreateBody>({
  ...CONTAINER_CONFIG_FIELDS,
  HostConfig: field(decodeHostConfig),
  NetworkingConfig: field(
    object<NetworkingConfig>({ EndpointsConfig: field(map(pointer(endpointSettings))) }),
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
