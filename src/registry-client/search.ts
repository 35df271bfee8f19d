import { MiB, NaruError } from "../base/mod.ts";
import { isObject } from "../spec/mod.ts";
import type { ClientParts } from "./across.ts";
import { onEndpoint } from "./across.ts";
import { readJson } from "./answer-body.ts";
import type { RegistryAccess, SearchResult } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { statusError } from "./status-error.ts";

const HUB_SEARCH = "https://index.docker.io";
const ANSWER_BYTES_MAX: number = 4 * MiB; // 100 results of Docker Hub are 40 KiB
const RESULTS_MAX = 100; // Docker's limit
const TERM_CHARACTERS_MAX = 255;

/**
 * The search of registry API version 1, which Docker Hub and some others (Quay, Artifactory) still
 * offer. `host/term` asks another host, as dockerd has it.
 */
export async function search(
  parts: ClientParts,
  term: string,
  options: { limit: number; access: RegistryAccess },
): Promise<readonly SearchResult[]> {
  const { access } = options;
  const limit = options.limit === 0 ? 25 : options.limit;
  if (limit < 0 || limit > RESULTS_MAX) {
    throw new NaruError(
      "invalid_argument",
      `limit ${options.limit} is outside the range of [1, ${RESULTS_MAX}]`,
    );
  }
  const { domain, words } = splitTerm(term);
  const endpoint = await searchEndpoint(parts, domain);
  const query = new URLSearchParams({ q: words, n: String(limit) });
  const what = `cannot search ${domain}`;
  return onEndpoint(parts, endpoint, access, true, async () => {
    const url = new URL(`${endpoint.origin}/v1/search?${query.toString()}`);
    const request = { method: "GET", scopes: [], access, what };
    const answer = await parts.session.sendTo(endpoint, url, request);
    if (answer.status === 404 || answer.status === 405) {
      answer.body.destroy();
      throw new NaruError("unsupported", `${domain} offers no search`, { domain });
    }
    if (answer.status !== 200) {
      throw await statusError(answer, what, parts.session.reading(access));
    }
    const reading = { ...parts.session.reading(access), what: `the answer of ${domain}` };
    return resultsOf(await readJson(answer, ANSWER_BYTES_MAX, reading), limit);
  });
}

/** dockerd's rule: what is before the first slash is a host when it looks like one. */
function splitTerm(term: string): { domain: string; words: string } {
  if (term === "" || term.length > TERM_CHARACTERS_MAX || term.includes("://")) {
    throw new NaruError(
      "invalid_argument",
      'invalid repository name: repository name should not contain "://", nor be empty or longer than 255 characters',
    );
  }
  const slash = term.indexOf("/");
  const first = slash === -1 ? "" : term.slice(0, slash);
  const named =
    /^[A-Za-z0-9.-]+(:\d+)?$/.test(first) && (/[.:]/.test(first) || first === "localhost");
  const hub = !named || first === "docker.io" || first === "index.docker.io";
  const words = named ? term.slice(slash + 1) : term;
  return { domain: hub ? "docker.io" : first, words: words.replace(hub ? /^library\// : /^$/, "") };
}

async function searchEndpoint(parts: ClientParts, domain: string): Promise<Endpoint> {
  const all = await parts.directory.endpointsOf(domain);
  const own = all.find(({ trusted }) => trusted) ?? all[0];
  if (own === undefined) throw new NaruError("internal", `no endpoint of ${domain}`);
  return domain === "docker.io" ? { ...own, origin: HUB_SEARCH } : own;
}

function resultsOf(body: unknown, limit: number): readonly SearchResult[] {
  const list = isObject(body) ? (body["results"] ?? []) : undefined;
  if (!Array.isArray(list)) throw new NaruError("damaged", "the search's answer is no list");
  return list
    .filter(isObject)
    .slice(0, limit)
    .map((item) => ({
      name: textOf(item["name"]),
      description: textOf(item["description"]),
      starCount: typeof item["star_count"] === "number" ? item["star_count"] : 0,
      isOfficial: item["is_official"] === true,
    }));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
