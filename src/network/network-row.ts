import type { IpamRange } from "./contract.ts";

/** A row of the `networks` table; the key is the name of a built-in network, or the id. */
export interface NetworkRow {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** RFC 3339 with nanoseconds; rows of older engines lack it. */
  readonly createdAt?: string;
  /** Of bridges the link, of macvlan and ipvlan the parent; and whether it is ours to remove. */
  readonly link?: string;
  readonly madeByEngine?: boolean;
  /** Of the default bridge. */
  readonly address?: string;
  readonly prefixLength?: number;
  readonly address6?: string;
  readonly prefixLength6?: number;
  readonly user?: UserNetwork;
}

/** What a user asked for, with what was chosen for them. */
export interface UserNetwork {
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly configOnly: boolean;
  readonly configFrom: string;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  /** At most one of each family. */
  readonly ranges: readonly NetworkRange[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface NetworkRange extends IpamRange {
  readonly family: 4 | 6;
  /** The user named the subnet: addresses in it may be asked for. */
  readonly asked: boolean;
}

export const BUILT_IN: ReadonlySet<string> = new Set(["bridge", "host", "none"]);
