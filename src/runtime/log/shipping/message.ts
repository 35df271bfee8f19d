import type { OutputStream } from "../../contract.ts";

/** A piece of a line that was longer than a message. */
export interface PartialMark {
  /** The same for all pieces of the line. */
  readonly id: string;
  /** From 1. */
  readonly ordinal: number;
  readonly last: boolean;
}

/** One message to a peer: a line without its newline, or a piece of one. */
export interface ShipMessage {
  readonly stream: OutputStream;
  readonly timeNs: bigint;
  readonly line: Uint8Array;
  readonly partial: PartialMark | undefined;
}

/** Severities of syslog, which journald and GELF use too: err and info, as Docker gives them. */
export function severityOf(stream: OutputStream): number {
  return stream === "stderr" ? 3 : 6;
}
