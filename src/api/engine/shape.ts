import type {
  ContainerInspect,
  ContainerSummary,
  EndpointSettings,
  EventMessage,
  ImageSummary,
} from "../../spec/mod.ts";
import type { ApiVersion } from "./api-version.ts";

type Json = Record<string, unknown>;

/** Which answer a row speaks of. */
export type ShapeSubject =
  | "containerInspect"
  | "containerSummary"
  | "event"
  | "imageInspect"
  | "imageSummary"
  | "info";

/** `change` gives the shape for versions below `below` (or from `from` on) out of the newest. */
interface ShapeRow {
  readonly subject: ShapeSubject;
  readonly below?: ApiVersion;
  readonly from?: ApiVersion;
  readonly change: (value: Json) => Json;
}

/**
 * How answers differ by API version. Handlers build the newest shape; rows are applied from the top.
 * @see reference engine-api, "version history" of each operation; recorded answers of dockerd
 */
const ROWS: readonly ShapeRow[] = [
  { subject: "containerInspect", from: 1052, change: (value) => without(value, "GraphDriver") },
  { subject: "containerInspect", below: 1052, change: withLegacyNetworkSettings },
  { subject: "containerInspect", below: 1045, change: withAliasesOfOld },
  { subject: "containerInspect", below: 1042, change: withKernelMemory },
  {
    subject: "containerInspect",
    below: 1048,
    change: (value) => eachEndpoint(value, "GwPriority"),
  },
  { subject: "containerInspect", below: 1044, change: (value) => eachEndpoint(value, "DNSNames") },
  { subject: "containerSummary", below: 1052, change: (value) => without(value, "Health") },
  {
    subject: "containerSummary",
    below: 1048,
    change: (value) => eachEndpoint(value, "GwPriority"),
  },
  { subject: "containerSummary", below: 1044, change: (value) => eachEndpoint(value, "DNSNames") },
  { subject: "event", below: 1052, change: withLegacyEventFields },
  { subject: "imageInspect", below: 1048, change: (value) => without(value, "Descriptor") },
  {
    subject: "imageInspect",
    below: 1044,
    change: (value) => ({ ...value, VirtualSize: value["Size"] }),
  },
  { subject: "imageInspect", below: 1045, change: withContainerOfImage },
  {
    subject: "imageSummary",
    below: 1044,
    change: (value) => ({ ...value, VirtualSize: value["Size"] }),
  },
  { subject: "imageSummary", below: 1043, change: withNoneTags },
  {
    subject: "info",
    below: 1042,
    change: (value) => ({ ...value, KernelMemory: false, KernelMemoryTCP: false }),
  },
  {
    subject: "info",
    below: 1050,
    change: (value) => ({ ...value, BridgeNfIptables: false, BridgeNfIp6tables: false }),
  },
  {
    subject: "info",
    below: 1025,
    change: (value) => ({ ...value, ExecutionDriver: "<not supported>" }),
  },
  { subject: "info", below: 1052, change: (value) => without(value, "NRI") },
];

const BY_SUBJECT: ReadonlyMap<ShapeSubject, readonly ShapeRow[]> = Map.groupBy(
  ROWS,
  (row) => row.subject,
);

/** `value` as clients of `version` expect it. Does not change `value`. */
export function shapeFor(subject: ShapeSubject, version: ApiVersion, value: object): object {
  let shaped = value as Json;
  for (const row of BY_SUBJECT.get(subject) ?? []) {
    const applies = row.from === undefined ? version < (row.below ?? 0) : version >= row.from;
    if (applies) shaped = row.change(shaped);
  }
  return shaped;
}

function without(value: Json, name: string): Json {
  const { [name]: _, ...rest } = value;
  return rest;
}

/** The places on networks without a field that is newer than the client. */
function eachEndpoint(value: Json, newer: keyof EndpointSettings): Json {
  const settings = value["NetworkSettings"] as ContainerSummary["NetworkSettings"];
  const networks = Object.entries(settings.Networks).map(([name, endpoint]) => {
    const { [newer]: _, ...rest } = endpoint;
    return [name, rest];
  });
  return { ...value, NetworkSettings: { ...settings, Networks: Object.fromEntries(networks) } };
}

/** The place on the network `bridge`, repeated where it was before there were networks. */
function withLegacyNetworkSettings(value: Json): Json {
  const settings = (value as unknown as ContainerInspect).NetworkSettings;
  const bridge = settings.Networks["bridge"];
  return {
    ...value,
    NetworkSettings: {
      Bridge: "",
      SandboxID: settings.SandboxID,
      HairpinMode: false,
      LinkLocalIPv6Address: "",
      LinkLocalIPv6PrefixLen: 0,
      Ports: settings.Ports,
      SandboxKey: settings.SandboxKey,
      SecondaryIPAddresses: null,
      SecondaryIPv6Addresses: null,
      EndpointID: bridge?.EndpointID ?? "",
      Gateway: bridge?.Gateway ?? "",
      GlobalIPv6Address: bridge?.GlobalIPv6Address ?? "",
      GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
      IPAddress: bridge?.IPAddress ?? "",
      IPPrefixLen: bridge?.IPPrefixLen ?? 0,
      IPv6Gateway: bridge?.IPv6Gateway ?? "",
      MacAddress: bridge?.MacAddress ?? "",
      Networks: settings.Networks,
    },
  };
}

/** On user networks Aliases held the short id too; DNSNames is newer. */
function withAliasesOfOld(value: Json): Json {
  const inspect = value as unknown as ContainerInspect;
  const networks = Object.entries(inspect.NetworkSettings.Networks).map(([name, endpoint]) => {
    const { DNSNames: names, ...old } = endpoint;
    const isDefault = ["bridge", "host", "none"].includes(name);
    if (isDefault || names === undefined || names === null) return [name, old];
    return [name, { ...old, Aliases: [...new Set([...(old.Aliases ?? []), ...names.slice(1)])] }];
  });
  return {
    ...value,
    NetworkSettings: { ...inspect.NetworkSettings, Networks: Object.fromEntries(networks) },
  };
}

function withKernelMemory(value: Json): Json {
  const hostConfig = value["HostConfig"] as Json;
  return { ...value, HostConfig: { ...hostConfig, KernelMemory: 0, KernelMemoryTCP: 0 } };
}

function withLegacyEventFields(value: Json): Json {
  const event = value as unknown as EventMessage;
  if (event.Type === "container") {
    const from = event.Actor.Attributes["image"];
    return {
      status: event.Action,
      id: event.Actor.ID,
      ...(from === undefined ? {} : { from }),
      ...value,
    };
  }
  if (event.Type === "image") return { status: event.Action, id: event.Actor.ID, ...value };
  return value;
}

/** What the classic builder left in an image; always zero for images that it did not make. */
function withContainerOfImage(value: Json): Json {
  return { ...value, Container: "", ContainerConfig: ZERO_CONFIG };
}

const ZERO_CONFIG: Json = {
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

function withNoneTags(value: Json): Json {
  const image = value as unknown as ImageSummary;
  if (image.RepoTags.length > 0) return value;
  const digests = image.RepoDigests.length > 0 ? image.RepoDigests : ["<none>@<none>"];
  return { ...value, RepoTags: ["<none>:<none>"], RepoDigests: digests };
}

/** An event as JSON text; `timeNano` is a number there that JavaScript cannot hold exactly. */
export function eventJson(event: EventMessage, version: ApiVersion): string {
  const { timeNano, ...rest } = shapeFor("event", version, event) as EventMessage;
  const text = JSON.stringify(rest);
  return `${text.slice(0, -1)},"timeNano":${/^\d+$/.test(timeNano) ? timeNano : "0"}}`;
}
