import { MiB, NaruError } from "../base/mod.ts";
import { isObject } from "../spec/mod.ts";
import { type ClientParts, endpointsFor } from "./across.ts";
import { readJson } from "./answer-body.ts";
import { repositoryScope } from "./authenticator.ts";
import { retrying } from "./backoff.ts";
import type { RegistryAccess, RepositoryName } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { nextLink } from "./header-text.ts";
import type { HttpAnswer } from "./http-transport.ts";
import { readError } from "./manifests.ts";
import { uploadUrl } from "./session.ts";
import { statusError } from "./status-error.ts";

export const PAGES_MAX = 1000;
const PAGE_SIZE = 1000; // what registries give at most
const PAGE_BYTES_MAX: number = 4 * MiB; // some give all tags at once, 128 bytes each
const TAGS_MAX = 1_000_000; // the largest public repositories have some 100,000

/** The next page, which must be on the same registry: it is asked with credentials. */
export function nextPage(endpoint: Endpoint, answer: HttpAnswer): URL | undefined {
  const { link } = answer.headers;
  const target = nextLink(Array.isArray(link) ? link.join(", ") : link);
  if (target === undefined) return undefined;
  const url = uploadUrl(endpoint, answer.url, target);
  if (url.origin === new URL(endpoint.origin).origin) return url;
  const message = `registry ${answer.url.host} has its next page on ${url.host}: refused`;
  throw new NaruError("forbidden", message);
}

/** All tags, page by page. Throws not_found for an unknown repository, too_large for an endless list. */
export async function* listTags(
  parts: ClientParts,
  repository: RepositoryName,
  access: RegistryAccess,
): AsyncGenerator<string, void, undefined> {
  const endpoints = await endpointsFor(parts, repository, "resolve");
  // The registry itself knows all tags; a mirror only what it was asked for.
  const endpoint = endpoints.find(({ mirrorOf }) => mirrorOf === undefined) ?? endpoints[0];
  if (endpoint === undefined) throw new NaruError("internal", "no endpoint");
  const what = `cannot list the tags of ${repository.path}`;
  const { clock, random } = parts;
  const { attemptsMax } = parts.hosts();
  let next: URL | undefined;
  let count = 0;
  for (let page = 1; page === 1 || next !== undefined; page += 1) {
    const at: URL | undefined = next;
    const answer = await retrying(() => ask(parts, endpoint, { repository, access, what, at }), {
      clock,
      random,
      attemptsMax,
      signal: access.signal,
    });
    next = nextPage(endpoint, answer);
    const reading = { ...parts.session.reading(access), what };
    const body = await readJson(answer, PAGE_BYTES_MAX, reading);
    const tags = isObject(body) ? (body["tags"] ?? []) : undefined;
    if (!Array.isArray(tags)) throw new NaruError("damaged", `${what}: the answer is no list`);
    for (const tag of tags) if (typeof tag === "string") yield tag;
    count += tags.length;
    if (count > TAGS_MAX || page > PAGES_MAX) {
      throw new NaruError("too_large", `${repository.path} has more tags than naru will list`);
    }
  }
}

async function ask(
  parts: ClientParts,
  endpoint: Endpoint,
  request: {
    repository: RepositoryName;
    access: RegistryAccess;
    what: string;
    at: URL | undefined;
  },
): Promise<HttpAnswer> {
  const { repository, access, what, at } = request;
  const common = {
    method: "GET",
    scopes: [repositoryScope(repository.path, "pull")],
    access,
    what,
  } as const;
  const path = `/${repository.path}/tags/list?n=${PAGE_SIZE}`;
  const answer =
    at === undefined
      ? await parts.session.send(endpoint, { ...common, path })
      : await parts.session.sendTo(endpoint, at, common);
  if (answer.status === 200) return answer;
  throw readError(await statusError(answer, what, parts.session.reading(access)), repository);
}
