import type { IncomingMessage } from "node:http";
import { type Access, type Action, ANONYMOUS, type Identity, type Wanted } from "./access.ts";
import type { Htpasswd } from "./htpasswd.ts";
import { refusal } from "./refusal.ts";
import type { Tokens } from "./tokens.ts";

const CREDENTIALS_CHARACTERS_MAX = 1024; // a name and a password

/** In a challenge, the token endpoint of this registry as its client reaches it. */
export interface TokenRealm {
  readonly realm: string;
  readonly service: string;
}

export interface PasswordAccessOptions {
  readonly users: Htpasswd;
  readonly tokens: Tokens;
  /** May `user` ("" for nobody) do it, by the rules? */
  readonly allows: (user: string, action: Action, repository: string) => boolean;
  /** Undefined: Basic alone is offered. */
  readonly realm: ((request: IncomingMessage) => TokenRealm) | undefined;
}

/** Users of an htpasswd file, by Basic or by tokens of the built-in service; both always work. */
export class PasswordAccess implements Access {
  readonly #options: PasswordAccessOptions;

  constructor(options: PasswordAccessOptions) {
    this.#options = options;
  }

  async identify(request: IncomingMessage): Promise<Identity> {
    const header = request.headers.authorization;
    if (header === undefined) return ANONYMOUS;
    const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
    if (token !== undefined) {
      const found = await this.#options.tokens.verify(token);
      if (found !== undefined) return found;
      throw refusal("UNAUTHORIZED", "the token is not valid, or not any more");
    }
    const basic = basicCredentials(header);
    if (basic === undefined) throw refusal("UNAUTHORIZED", "the Authorization header is no use");
    if (await this.#options.users.verify(basic.user, basic.password)) {
      return { user: basic.user, scopes: undefined };
    }
    throw refusal("UNAUTHORIZED", "incorrect username or password");
  }

  check(identity: Identity, action: Action, repository: string): void {
    if (!this.#options.allows(identity.user, action, repository)) {
      if (identity.user === "") {
        throw refusal("UNAUTHORIZED", "authentication required: log in first");
      }
      const message = `${identity.user} may not ${action} ${repository}`;
      throw refusal("DENIED", `requested access to the resource is denied: ${message}`);
    }
    if (identity.scopes === undefined || identity.scopes.get(repository)?.has(action)) return;
    throw refusal("UNAUTHORIZED", `the token is not for ${action} on ${repository}`);
  }

  mayRead(identity: Identity, repository: string): boolean {
    if (!this.mayList(identity, repository)) return false;
    return identity.scopes === undefined || identity.scopes.get(repository)?.has("read") === true;
  }

  mayList({ user }: Identity, repository: string): boolean {
    return this.#options.allows(user, "read", repository);
  }

  checkMember({ user }: Identity): void {
    if (user === "") throw refusal("UNAUTHORIZED", "authentication required: log in first");
  }

  challenge(request: IncomingMessage, wanted: Wanted | undefined): string {
    if (this.#options.realm === undefined) return 'Basic realm="naru registry"';
    const { realm, service } = this.#options.realm(request);
    const scope = wanted === undefined ? "" : `,scope="${scopeOf(wanted)}"`;
    const sent = request.headers.authorization ?? "";
    const error = /^Bearer /i.test(sent) ? ',error="insufficient_scope"' : "";
    return `Bearer realm="${realm}",service="${service}"${scope}${error}`;
  }
}

function scopeOf({ action, repository }: Wanted): string {
  const actions = { read: "pull", write: "pull,push", delete: "delete" }[action];
  return `repository:${repository}:${actions}`;
}

/** Undefined for what is not Basic, or is longer than names and passwords are. */
export function basicCredentials(header: string): { user: string; password: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(header)?.[1];
  if (encoded === undefined || encoded.length > CREDENTIALS_CHARACTERS_MAX) return undefined;
  const text = Buffer.from(encoded, "base64").toString();
  const colon = text.indexOf(":");
  if (colon < 1) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
