import type { IncomingMessage, ServerResponse } from "node:http";
import { KiB, SECOND_MS } from "../base/mod.ts";
import { readBody } from "../transport/mod.ts";
import type { Action } from "./access.ts";
import type { Htpasswd } from "./htpasswd.ts";
import { basicCredentials } from "./password-access.ts";
import { refusal } from "./refusal.ts";
import { TOKEN_SECONDS, type Tokens } from "./tokens.ts";

const FORM_BYTES_MAX: number = 64 * KiB; // a refresh token and some scopes
const FORM_MS_MAX: number = 30 * SECOND_MS;
const SCOPES_MAX = 100;

export interface TokenEndpointOptions {
  readonly users: Htpasswd;
  readonly tokens: Tokens;
  readonly allows: (user: string, action: Action, repository: string) => boolean;
  readonly nowMs: () => number;
}

interface TokenRequest {
  /** "" for an anonymous token. */
  readonly user: string;
  readonly scopes: readonly string[];
  readonly wantsRefresh: boolean;
}

/**
 * Docker's token service: GET with Basic, and POST with a form (`password`, `refresh_token`). A scope is
 * granted as far as the rules allow it; the rest is left out without a word, as the protocol has it.
 */
export async function answerToken(
  options: TokenEndpointOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const wanted =
    request.method === "POST"
      ? await formRequest(options, request)
      : await queryRequest(options, request);
  const { user, wantsRefresh } = wanted;
  const scopes = grantedScopes(wanted, options.allows);
  const token = await options.tokens.issue({ user, scopes });
  const mark = options.users.passwordMark(user);
  const refresh =
    wantsRefresh && mark !== undefined ? await options.tokens.issueRefresh(user, mark) : undefined;
  const body = JSON.stringify({
    ...{ token, access_token: token, expires_in: TOKEN_SECONDS },
    issued_at: new Date(options.nowMs()).toISOString(),
    scope: wanted.scopes.join(" "),
    ...(refresh !== undefined && { refresh_token: refresh }),
  });
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

async function queryRequest(
  { users }: TokenEndpointOptions,
  request: IncomingMessage,
): Promise<TokenRequest> {
  const url = request.url ?? "";
  const query = new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?")) : "");
  const header = request.headers.authorization;
  const scopes = query.getAll("scope").flatMap((scope) => scope.split(" "));
  if (header === undefined) return { user: "", scopes, wantsRefresh: false };
  const basic = basicCredentials(header);
  if (basic === undefined || !(await users.verify(basic.user, basic.password))) throw incorrect();
  return { user: basic.user, scopes, wantsRefresh: query.get("offline_token") === "true" };
}

async function formRequest(
  { users, tokens }: TokenEndpointOptions,
  request: IncomingMessage,
): Promise<TokenRequest> {
  const bytes = await readBody(request, { bytesMax: FORM_BYTES_MAX, totalMs: FORM_MS_MAX });
  const form = new URLSearchParams(bytes.toString());
  const scopes = (form.get("scope") ?? "").split(" ");
  const grant = form.get("grant_type");
  if (grant === "refresh_token") {
    const found = await tokens.verifyRefresh(form.get("refresh_token") ?? "");
    if (found === undefined || users.passwordMark(found.user) !== found.mark) throw incorrect();
    return { user: found.user, scopes, wantsRefresh: true };
  }
  if (grant !== "password")
    throw refusal("UNSUPPORTED", "grant_type is neither password nor refresh_token", 400);
  const user = form.get("username") ?? "";
  if (!(await users.verify(user, form.get("password") ?? ""))) throw incorrect();
  return { user, scopes, wantsRefresh: form.get("access_type") === "offline" };
}

function incorrect(): Error {
  return refusal("UNAUTHORIZED", "incorrect username or password");
}

const ACTIONS: Readonly<Record<string, readonly Action[]>> = {
  pull: ["read"],
  push: ["write"],
  delete: ["delete"],
  "*": ["read", "write", "delete"],
};

function grantedScopes(
  { user, scopes }: TokenRequest,
  allows: TokenEndpointOptions["allows"],
): ReadonlyMap<string, ReadonlySet<Action>> {
  const granted = new Map<string, Set<Action>>();
  for (const scope of scopes.slice(0, SCOPES_MAX)) {
    const match = /^repository(?:\([a-z]+\))?:(.+):([a-z,*]+)$/.exec(scope);
    const name = match?.[1] ?? "";
    for (const word of match?.[2]?.split(",") ?? []) {
      const actions = Object.hasOwn(ACTIONS, word) ? (ACTIONS[word] ?? []) : [];
      for (const action of actions.filter((one) => allows(user, one, name))) {
        const set = granted.get(name) ?? new Set<Action>();
        granted.set(name, set.add(action));
      }
    }
  }
  return granted;
}
