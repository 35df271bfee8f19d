import { parseRepositoryName, shown } from "./names.ts";
import { refusal } from "./refusal.ts";

/** What a path of the specification names. */
export type Route =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "tags"; readonly repository: string }
  | { readonly kind: "manifest"; readonly repository: string; readonly reference: string }
  | { readonly kind: "uploads"; readonly repository: string }
  | { readonly kind: "upload"; readonly repository: string; readonly id: string }
  | { readonly kind: "blob"; readonly repository: string; readonly digest: string }
  | { readonly kind: "referrers"; readonly repository: string; readonly digest: string };

const PATTERNS: readonly (readonly [RegExp, (repository: string, last: string) => Route])[] = [
  [/^(.+)\/tags\/list$/, (repository) => ({ kind: "tags", repository })],
  [/^(.+)\/blobs\/uploads\/?$/, (repository) => ({ kind: "uploads", repository })],
  [/^(.+)\/blobs\/uploads\/([^/]+)$/, (repository, id) => ({ kind: "upload", repository, id })],
  [/^(.+)\/blobs\/([^/]+)$/, (repository, digest) => ({ kind: "blob", repository, digest })],
  [
    /^(.+)\/manifests\/([^/]+)$/,
    (repository, reference) => ({ kind: "manifest", repository, reference }),
  ],
  [
    /^(.+)\/referrers\/([^/]+)$/,
    (repository, digest) => ({ kind: "referrers", repository, digest }),
  ],
];

/**
 * The route of a path as it was sent (dots are not resolved: a name with them is no name). Undefined
 * outside `/v2/`. Throws NAME_INVALID, and NAME_UNKNOWN for a path of no endpoint.
 */
export function parseRoute(path: string): Route | undefined {
  if (path === "/v2" || path === "/v2/") return { kind: "base" };
  if (!path.startsWith("/v2/")) return undefined;
  const rest = decoded(path.slice("/v2/".length));
  if (rest === "_catalog") return { kind: "catalog" };
  for (const [pattern, make] of PATTERNS) {
    const match = pattern.exec(rest);
    if (match !== null) return make(parseRepositoryName(match[1] ?? ""), match[2] ?? "");
  }
  throw refusal("NAME_UNKNOWN", `there is no endpoint at /v2/${shown(rest)}`);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw refusal("NAME_INVALID", "the path is not valid percent-encoding");
  }
}
