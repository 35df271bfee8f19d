import type { LinkAddress, Route } from "./netlink/address.ts";
import type { Link, SharedLinkKind } from "./netlink/link.ts";
import type { SyscallErrorRecord } from "./syscall-error.ts";

/** One link of a container. */
export interface NamespaceEndpoint {
  /** Name of our end of a veth pair, at most 15 bytes; "" where the link shares its parent's wire. */
  readonly hostLink: string;
  /** The bridge that a veth is a port of, or the parent. */
  readonly parent: string;
  /** Undefined: a veth. */
  readonly shared?: SharedLinkKind;
  /** Name inside: `eth0`. */
  readonly innerLink: string;
  /** "" for the parent's (ipvlan). */
  readonly macAddress: string;
  /** 0: the parent's. */
  readonly mtu: number;
  /** "" without. */
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly ipv6Address: string;
  readonly ipv6PrefixLength: number;
  /** Reach only the bridge, no other isolated endpoint of it. */
  readonly isolated: boolean;
}

/** Where a namespace sends what is for elsewhere: an address, "" for nowhere, or a link as `dev eth0`. */
export interface DefaultRoutes {
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface CreateNamespaceRequest {
  /** File that the namespace gets bound to; made here, must not be there. */
  readonly path: string;
  /** Beside `lo`. */
  readonly endpoints: readonly NamespaceEndpoint[];
  readonly routes: DefaultRoutes;
  /** `net.` sysctls by name, set in the new namespace. */
  readonly sysctls?: Readonly<Record<string, string>>;
}

export interface BridgeRequest {
  readonly name: string;
  readonly macAddress: string;
  /** Of a bridge that is made now. */
  readonly mtu: number;
  /** Keeps `mtu`, also of a bridge that was there; without it a bridge follows its ports. */
  readonly fixedMtu?: boolean;
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  /** "" without. */
  readonly ipv6Address: string;
  readonly ipv6PrefixLength: number;
}

/** A link that macvlan and ipvlan stand on, made when it is not there. */
export interface ParentRequest {
  readonly name: string;
  readonly make:
    | { readonly kind: "dummy" }
    | { readonly kind: "vlan"; readonly parent: string; readonly id: number }
    | { readonly kind: "none" };
}

/** Answers by operation. */
export interface NetnsOperations {
  createNamespace: { readonly request: CreateNamespaceRequest; readonly answer: null };
  /** One more link for a namespace that is there. All or nothing. */
  addEndpoint: {
    readonly request: { readonly path: string; readonly endpoint: NamespaceEndpoint };
    readonly answer: null;
  };
  /** A link of a namespace goes. Idempotent. */
  removeEndpoint: {
    readonly request: { readonly path: string; readonly innerLink: string };
    readonly answer: null;
  };
  setRoutes: {
    readonly request: { readonly path: string; readonly routes: DefaultRoutes };
    readonly answer: null;
  };
  /** On a bridge: what came by the link may leave by it. */
  hairpin: { readonly request: { readonly hostLink: string }; readonly answer: null };
  /** True when it was made. */
  ensureParent: { readonly request: ParentRequest; readonly answer: boolean };
  /** Unbound and its file removed. Idempotent. */
  removeNamespace: { readonly request: { readonly path: string }; readonly answer: null };
  /** Gone afterwards, whether there before or not. */
  deleteLinks: { readonly request: { readonly names: readonly string[] }; readonly answer: null };
  ensureBridge: { readonly request: BridgeRequest; readonly answer: Link };
  links: { readonly request: null; readonly answer: Link[] };
  addresses: { readonly request: null; readonly answer: LinkAddress[] };
  routes: { readonly request: null; readonly answer: Route[] };
  /** Links inside a bound namespace; undefined when the file is none. */
  namespaceLinks: {
    readonly request: { readonly path: string };
    readonly answer: Link[] | undefined;
  };
}

export type NetnsOperation = keyof NetnsOperations;

export interface NetnsQuestion {
  readonly id: number;
  readonly operation: NetnsOperation;
  readonly request: unknown;
}

export type NetnsAnswer =
  | { readonly id: number; readonly kind: "done"; readonly answer: unknown }
  | { readonly id: number; readonly kind: "failed"; readonly failure: SyscallErrorRecord }
  | { readonly id: number; readonly kind: "broken"; readonly message: string };
