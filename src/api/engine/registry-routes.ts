import { NaruError } from "../../base/mod.ts";
import { type AuthBody, decodeAuth, decodeAuthHeader, decodeFilters } from "../../spec/mod.ts";
import type { Call } from "./call.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import type { RegistryCredentials } from "./services.ts";

const SEARCH_FILTERS: ReadonlySet<string> = new Set(["is-automated", "is-official", "stars"]);
const SEARCH_LIMIT = 25; // docker's, as is the greatest
const SEARCH_LIMIT_MAX = 100;
const DISTRIBUTION_SINCE = 1030;

/** What the header `X-Registry-Auth` of a request says. Throws invalid_argument. */
export function credentialsOf(call: Call): RegistryCredentials | undefined {
  const header = call.request.headers["x-registry-auth"];
  const auth = decodeAuthHeader(Array.isArray(header) ? header[0] : header);
  return auth === undefined ? undefined : credentials(auth);
}

function credentials(auth: AuthBody): RegistryCredentials {
  return {
    username: auth.username,
    password: auth.password,
    identityToken: auth.identitytoken,
    registryToken: auth.registrytoken,
    serverAddress: auth.serveraddress,
  };
}

const login: PlainHandler = async (call, { registry }) => {
  const asked = credentials(decodeAuth(await call.jsonBody()));
  const { status, identityToken } = await registry.checkAuth(asked, call.signal);
  call.json({ Status: status, IdentityToken: identityToken });
};

const distribution: PlainHandler = async (call, { registry }) => {
  const access = { credentials: credentialsOf(call), signal: call.signal };
  const { descriptor, platforms } = await registry.inspect(call.param, access);
  call.json({ Descriptor: descriptor, Platforms: platforms });
};

const search: PlainHandler = async (call, { registry }) => {
  const term = call.query.text("term");
  if (term === "") throw new NaruError("invalid_argument", "term: say what to search for");
  const filters = decodeFilters(call.query.text("filters"), SEARCH_FILTERS);
  const limit = searchLimit(call.query.text("limit"));
  const stars = Math.max(0, ...(filters.get("stars") ?? []).map((text) => wholeNumber(text)));
  const official = filters.get("is-official")?.map(booleanOf);
  const access = { credentials: credentialsOf(call), signal: call.signal };
  const found = await registry.search(term, { limit, access });
  // Nothing is built automatically since 2023: who asks for such images gets none.
  const automated = filters.get("is-automated")?.map(booleanOf).includes(true) === true;
  call.json(
    found
      .filter((one) => !automated && one.starCount >= stars)
      .filter((one) => official?.every((want) => want === one.isOfficial) ?? true)
      .map((one) => ({
        description: one.description,
        is_official: one.isOfficial,
        is_automated: false,
        name: one.name,
        star_count: one.starCount,
      })),
  );
};

function searchLimit(text: string): number {
  if (text === "" || text === "0") return SEARCH_LIMIT;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= SEARCH_LIMIT_MAX) return limit;
  throw new NaruError(
    "invalid_argument",
    `limit ${text.slice(0, 20)} is outside the range of [1, ${SEARCH_LIMIT_MAX}]`,
  );
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new NaruError("invalid_argument", `invalid filter 'stars=${text.slice(0, 50)}'`);
}

function booleanOf(text: string): boolean {
  if (["true", "1"].includes(text)) return true;
  if (["false", "0"].includes(text)) return false;
  throw new NaruError("invalid_argument", `invalid filter value "${text.slice(0, 50)}"`);
}

export const REGISTRY_ROUTES: readonly EngineRoute[] = [
  plain("POST /auth", login),
  plain("GET /distribution/{name}/json", distribution, { since: DISTRIBUTION_SINCE }),
  plain("GET /images/search", search),
];
