import { digestHex } from "../base/mod.ts";
import type { PublishedPort } from "../network/mod.ts";
import type { ContainerSummary, EndpointSettings, PortSummary } from "../spec/mod.ts";
import { commandOf } from "./config-merge.ts";
import type { HealthState } from "./health-state.ts";
import { mountView } from "./inspect-view.ts";
import { portListView } from "./port-plan.ts";
import type { ContainerRecord } from "./record.ts";
import { statusWord } from "./state.ts";
import { statusText } from "./status-text.ts";

export interface ListFacts {
  readonly nowNs: bigint;
  /** undefined without a check. */
  readonly health: HealthState | undefined;
  /** Does the typed reference still name the container's image? */
  readonly imageName: string;
  readonly networks: Record<string, EndpointSettings>;
  readonly published: readonly PublishedPort[];
  readonly pathOfVolume: (name: string) => string;
  readonly size: { readonly rwBytes: number; readonly rootBytes: number } | undefined;
}

const NS_PER_S = 1_000_000_000n;

/** One element of `GET /containers/json`. */
export function listView(record: ContainerRecord, facts: ListFacts): ContainerSummary {
  const { hostConfig: host } = record;
  const annotations = host.Annotations ?? {};
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: facts.imageName,
    ImageID: record.imageId,
    Command: commandText(commandOf(record.config)),
    Created: Number(BigInt(record.createdAtNs) / NS_PER_S),
    Ports: portsView(record, facts.published),
    ...(facts.size === undefined ? {} : sizeView(facts.size)),
    Labels: record.config.Labels ?? {},
    State: statusWord(record.state),
    Status: statusText(record.state, facts.nowNs, facts.health?.Status ?? ""),
    HostConfig: {
      NetworkMode: host.NetworkMode,
      ...(Object.keys(annotations).length === 0 ? {} : { Annotations: annotations }),
    },
    NetworkSettings: { Networks: facts.networks },
    Mounts: record.mounts
      .filter((one) => one.origin !== "tmpfs")
      .map((one) => mountView(one, facts.pathOfVolume)),
    Health: {
      Status: facts.health?.Status ?? "none",
      FailingStreak: facts.health?.FailingStreak ?? 0,
    },
  };
}

/** An element of a list has no SizeRw when nothing was written. */
function sizeView(size: { readonly rwBytes: number; readonly rootBytes: number }): {
  SizeRw?: number;
  SizeRootFs: number;
} {
  const root = { SizeRootFs: size.rootBytes };
  return size.rwBytes === 0 ? root : { SizeRw: size.rwBytes, ...root };
}

/** Words with blanks are quoted, as Docker shows them. */
function commandText(words: readonly string[]): string {
  const [first = "", ...rest] = words;
  return [first, ...rest.map((word) => (word.includes(" ") ? `'${word}'` : word))].join(" ");
}

function portsView(record: ContainerRecord, published: readonly PublishedPort[]): PortSummary[] {
  if (record.state.kind !== "running" || record.endpoints.length === 0) return [];
  return portListView(record.config, record.hostConfig, published);
}

/** The reference that was typed, or the short form of the id when its tag has moved on. */
export function shownImageName(
  record: ContainerRecord,
  find: (name: string) => string | undefined,
): string {
  const typed = record.config.Image;
  return find(typed) === record.imageId ? typed : `sha256:${digestHex(record.imageId)}`;
}
