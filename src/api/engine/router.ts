import { NaruError } from "../../base/mod.ts";
import type { ApiVersion } from "./api-version.ts";

/** One operation. `{id}` stands for one path segment, `{name}` for any number (image names hold slashes). */
export interface Route<H> {
  /** `GET /containers/{id}/json` */
  readonly operation: string;
  /** First and last version that has it; absent: all. */
  readonly since?: ApiVersion;
  readonly until?: ApiVersion;
  readonly handler: H;
}

export interface Match<H> {
  readonly route: Route<H>;
  /** The decoded parameter, "" for routes without. */
  readonly param: string;
}

const OWN = "/naru/v1/";

interface Pattern<H> {
  readonly route: Route<H>;
  readonly suffix: string;
  readonly slashes: boolean;
}

/**
 * Look-up by hash only: exact paths, then first and last segment. Patterns have at most one
 * parameter, after the first segment (of naru's own endpoints: after `/naru/v1/` and one more).
 */
export class Router<H> {
  readonly #exact: Map<string, Route<H>> = new Map();
  readonly #patterns: Map<string, Pattern<H>[]> = new Map();

  constructor(routes: readonly Route<H>[]) {
    for (const route of routes) this.#add(route);
  }

  /** Throws not_found (`page not found`), as Docker does for a known path with another method too. */
  match(method: string, path: string, version: ApiVersion): Match<H> {
    const exact = this.#exact.get(`${method} ${path}`);
    if (exact !== undefined && serves(exact, version)) return { route: exact, param: "" };
    const firstEnd = path.indexOf("/", path.startsWith(OWN) ? OWN.length : 1);
    if (firstEnd < 0) throw notFound();
    const first = path.slice(0, firstEnd);
    const last = path.slice(path.lastIndexOf("/"));
    const found =
      this.#find(`${method} ${first} ${last}`, path, firstEnd, version) ??
      this.#find(`${method} ${first} `, path, firstEnd, version);
    if (found === undefined) throw notFound();
    return found;
  }

  #find(key: string, path: string, firstEnd: number, version: ApiVersion): Match<H> | undefined {
    for (const { route, suffix, slashes } of this.#patterns.get(key) ?? []) {
      if (!path.endsWith(suffix) || !serves(route, version)) continue;
      const raw = path.slice(firstEnd + 1, path.length - suffix.length);
      if (raw === "" || (!slashes && raw.includes("/"))) continue;
      return { route, param: raw.includes("%") ? decode(raw) : raw };
    }
    return undefined;
  }

  #add(route: Route<H>): void {
    const [method = "", path = ""] = route.operation.split(" ");
    const open = path.indexOf("{");
    if (open < 0) {
      this.#exact.set(`${method} ${path}`, route);
      return;
    }
    const close = path.indexOf("}");
    const suffix = path.slice(close + 1);
    const first = path.slice(0, open - 1);
    const key = `${method} ${first} ${suffix.slice(suffix.lastIndexOf("/"))}`;
    const patterns = this.#patterns.get(key) ?? [];
    patterns.push({ route, suffix, slashes: path.slice(open + 1, close) === "name" });
    patterns.sort((one, other) => other.suffix.length - one.suffix.length);
    this.#patterns.set(key, patterns);
  }
}

function serves<H>(route: Route<H>, version: ApiVersion): boolean {
  return (route.since ?? 0) <= version && version <= (route.until ?? Number.POSITIVE_INFINITY);
}

function decode(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch (cause) {
    throw new NaruError("invalid_argument", "malformed escape in the path", {}, { cause });
  }
}

function notFound(): NaruError {
  return new NaruError("not_found", "page not found");
}
