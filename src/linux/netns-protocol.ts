import type { LinkAddress, Route } from "./netlink/address.ts";
import type { Link } from "./netlink/link.ts";
import type { SyscallErrorRecord } from "./syscall-error.ts";

/** The one link of a container to a bridge. */
export interface NamespaceEndpoint {
  /** Name of our end, at most 15 bytes. */
  readonly hostLink: string;
  readonly bridge: string;
  /** Name inside: `eth0`. */
  readonly innerLink: string;
  readonly macAddress: string;
  readonly mtu: number;
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  /** "": no default route. */
  readonly gateway: string;
  /** Reach only the bridge, no other isolated endpoint of it. */
  readonly isolated: boolean;
}

export interface CreateNamespaceRequest {
  /** File that the namespace gets bound to; made here, must not be there. */
  readonly path: string;
  /** Left out: only `lo`. */
  readonly endpoint?: NamespaceEndpoint;
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
}

/** Answers by operation. */
export interface NetnsOperations {
  createNamespace: { readonly request: CreateNamespaceRequest; readonly answer: null };
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
