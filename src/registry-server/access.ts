import type { IncomingMessage } from "node:http";

export type Action = "read" | "write" | "delete";

/** Who sends a request. */
export interface Identity {
  /** "" for whoever did not say. */
  readonly user: string;
  /** What a token carries; undefined for whoever proved a password, or where nobody has to. */
  readonly scopes: ReadonlyMap<string, ReadonlySet<Action>> | undefined;
}

/** Who, and from where. */
export interface Client extends Identity {
  readonly address: string;
}

export const ANONYMOUS: Identity = { user: "", scopes: undefined };

/** Who may do what. */
export interface Access {
  /** Throws UNAUTHORIZED for credentials that are wrong. */
  identify(request: IncomingMessage): Promise<Identity>;
  /** Throws UNAUTHORIZED when credentials could help, DENIED when they could not. */
  check(identity: Identity, action: Action, repository: string): void;
  /** As `check` of a read, with the token's scopes. */
  mayRead(identity: Identity, repository: string): boolean;
  /** May this user know that the repository is there? Scopes do not count. */
  mayList(identity: Identity, repository: string): boolean;
  /** Throws UNAUTHORIZED: `/v2/`, `_catalog` and `/metrics` are for whoever has logged in. */
  checkMember(identity: Identity): void;
  /** `WWW-Authenticate` of a 401; undefined where there is nothing to log in to. */
  challenge(request: IncomingMessage, wanted: Wanted | undefined): string | undefined;
}

/** What a request needs, for the scope of a challenge. */
export interface Wanted {
  readonly action: Action;
  readonly repository: string;
}

/** Everyone may do everything: the default on loopback. */
export const openAccess: Access = {
  identify: () => Promise.resolve(ANONYMOUS),
  check: () => undefined,
  mayRead: () => true,
  mayList: () => true,
  checkMember: () => undefined,
  challenge: () => undefined,
};
