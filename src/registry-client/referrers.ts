import { type Digest, isNaruError, NaruError } from "../base/mod.ts";
import { decodeIndex, MANIFEST_BYTES_MAX } from "../oci/mod.ts";
import type { Descriptor } from "../spec/mod.ts";
import { across, type ClientParts } from "./across.ts";
import { readAll } from "./answer-body.ts";
import { repositoryScope } from "./authenticator.ts";
import type { RegistryAccess, RepositoryName } from "./contract.ts";
import type { Endpoint } from "./endpoint.ts";
import { fetchManifest, readError } from "./manifests.ts";
import { nextPage, PAGES_MAX } from "./pages.ts";
import { statusError } from "./status-error.ts";

const REFERRERS_MAX = 10_000; // signatures and reports of one image, many times over

/** `sha256-<hex>`: where clients keep referrers on registries without the API. */
export function referrersTag(digest: Digest): string {
  return digest.replace(":", "-");
}

/** The rows of an index. Throws damaged when it is none. */
export function descriptorsOf(bytes: Uint8Array, what: string): readonly Descriptor[] {
  try {
    return decodeIndex(bytes, what).manifests;
  } catch (error) {
    if (!isNaruError(error)) throw error;
    throw new NaruError("damaged", error.message, error.details, { cause: error });
  }
}

export async function listReferrers(
  parts: ClientParts,
  repository: RepositoryName,
  digest: Digest,
  options: { readonly access: RegistryAccess; readonly artifactType?: string },
): Promise<readonly Descriptor[]> {
  const { access, artifactType } = options;
  const fromApi = await across(parts, repository, { need: "pull", access }, (endpoint) =>
    askApi(parts, endpoint, { repository, digest, ...options }),
  );
  const rows = fromApi ?? (await fromTag(parts, repository, digest, access));
  // Registries may ignore the filter (OCI-Filters-Applied says whether they did).
  return artifactType === undefined
    ? rows
    : rows.filter((row) => row.artifactType === artifactType);
}

async function fromTag(
  parts: ClientParts,
  repository: RepositoryName,
  digest: Digest,
  access: RegistryAccess,
): Promise<readonly Descriptor[]> {
  const tag = referrersTag(digest);
  try {
    return descriptorsOf((await fetchManifest(parts, repository, tag, access)).bytes, tag);
  } catch (error) {
    if (isNaruError(error, "not_found")) return [];
    throw error;
  }
}

/** Undefined: this registry has no such API. */
async function askApi(
  parts: ClientParts,
  endpoint: Endpoint,
  request: {
    repository: RepositoryName;
    digest: Digest;
    access: RegistryAccess;
    artifactType?: string;
  },
): Promise<readonly Descriptor[] | undefined> {
  const { repository, digest, access, artifactType } = request;
  const what = `cannot list the referrers of ${digest}`;
  const query =
    artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType }).toString()}`;
  const common = {
    method: "GET",
    scopes: [repositoryScope(repository.path, "pull")],
    access,
    what,
  } as const;
  const rows: Descriptor[] = [];
  let answer = await parts.session.send(endpoint, {
    ...common,
    path: `/${repository.path}/referrers/${digest}${query}`,
  });
  for (let page = 1; ; page += 1) {
    const type = answer.headers["content-type"] ?? "";
    if (answer.status === 404 || (answer.status === 200 && !type.includes("json"))) {
      answer.body.destroy();
      return undefined;
    }
    if (answer.status !== 200) {
      const error = await statusError(answer, what, parts.session.reading(access));
      if (error.kind === "unsupported" || error.kind === "invalid_argument") return undefined;
      throw readError(error, repository);
    }
    const next = nextPage(endpoint, answer);
    const reading = { ...parts.session.reading(access), what };
    rows.push(...descriptorsOf(await readAll(answer, MANIFEST_BYTES_MAX, reading), what));
    if (next === undefined) return rows;
    if (rows.length > REFERRERS_MAX || page >= PAGES_MAX) {
      throw new NaruError("too_large", `${digest} has more than ${REFERRERS_MAX} referrers`);
    }
    answer = await parts.session.sendTo(endpoint, next, common);
  }
}
