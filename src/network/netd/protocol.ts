import type { PortProtocol } from "../firewall/contract.ts";
import type { NameRecords } from "./contract.ts";

/*
 * Engine and netd speak JSON, one message a line, over a unix socket in the run root. An engine that
 * finds a netd of another version stops it and starts its own, which reads the state file.
 */
export const NETD_PROTOCOL: number = 1;

/** One port of the host that nobody else may take. */
export interface HeldPort {
  readonly protocol: PortProtocol;
  /** `0.0.0.0`, `::`, or one address. */
  readonly address: string;
  readonly port: number;
  /** Where what really comes to the socket goes, past all translation; null: it is refused. */
  readonly forwardTo: { readonly address: string; readonly port: number } | null;
}

export interface ContainerPorts {
  readonly containerId: string;
  readonly ports: readonly HeldPort[];
}

/** All that netd knows. */
export interface NetdState {
  readonly ports: readonly ContainerPorts[];
  readonly names: readonly NameRecords[];
}

export type NetdRequest =
  | { readonly op: "hello" }
  /** In place of all that it has. */
  | { readonly op: "sync"; readonly state: NetdState }
  /** In place of what the container had: all or none. */
  | ({ readonly op: "ports" } & ContainerPorts)
  | { readonly op: "names"; readonly records: NameRecords }
  | { readonly op: "forget"; readonly what: "ports" | "names"; readonly containerId: string }
  | { readonly op: "stop" };

export type NetdQuestion = NetdRequest & { readonly id: number };

/** Why a port could not be held. */
export interface HoldFailure {
  readonly containerId: string;
  readonly protocol: PortProtocol;
  readonly address: string;
  readonly port: number;
  /** `EADDRINUSE`, `EADDRNOTAVAIL`, … */
  readonly code: string;
}

export type NetdResult =
  | {
      readonly kind: "hello";
      readonly protocol: number;
      readonly version: string;
      readonly pid: number;
    }
  | { readonly kind: "done" }
  | { readonly kind: "not_held"; readonly failures: readonly HoldFailure[] }
  | { readonly kind: "failed"; readonly message: string };

export type NetdAnswer = NetdResult & { readonly id: number };

/** Of one message: the state of 1,000 containers with ports and names is below 1 MiB. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024 * 1024;

/** Cuts a stream into lines. Throws when one gets longer than any message may be. */
export class LineReader {
  #rest: string = "";
  readonly #decoder: TextDecoder = new TextDecoder();

  push(chunk: Uint8Array): string[] {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    if (this.#rest.length > MESSAGE_BYTES_MAX) throw new Error("netd: message too long");
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.filter((line) => line !== "");
  }
}
