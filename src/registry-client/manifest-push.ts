import { type Digest, digestHex, digestOf, isDigest, isNaruError, NaruError } from "../base/mod.ts";
import { decodeJson, encodeJson, MANIFEST_BYTES_MAX, OCI_INDEX } from "../oci/mod.ts";
import { type Descriptor, isObject } from "../spec/mod.ts";
import { type ClientParts, checkTarget, onEndpoint, pushEndpoint } from "./across.ts";
import { pushError, pushScopes } from "./blob-push.ts";
import type { RegistryAccess, RegistryBytes, RepositoryName } from "./contract.ts";
import type { HttpAnswer } from "./http-transport.ts";
import { fetchManifest, targetName } from "./manifests.ts";
import { descriptorsOf, referrersTag } from "./referrers.ts";
import { statusError } from "./status-error.ts";

interface PushedManifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/**
 * Puts a manifest. When it has a subject and the registry does not say that it keeps referrers, the
 * index under the subject's tag gets a row for it. @see distribution-spec "Pushing Manifests with Subject"
 */
export async function pushManifest(
  parts: ClientParts,
  repository: RepositoryName,
  target: string,
  manifest: PushedManifest,
  access: RegistryAccess,
): Promise<{ digest: Digest }> {
  checkTarget(target);
  const digest = digestOf(manifest.bytes);
  if (isDigest(target) && target !== digest) {
    const message = `the manifest does not match the digest it is pushed by, ${target}`;
    throw new NaruError("invalid_argument", message, { digest });
  }
  if (manifest.bytes.length > MANIFEST_BYTES_MAX) {
    const message = `the manifest has more than ${MANIFEST_BYTES_MAX} bytes`;
    throw new NaruError("too_large", message, { bytesMax: MANIFEST_BYTES_MAX });
  }
  const kept = await put(parts, repository, target, manifest, access);
  const row = referrerRow(manifest, digest);
  if (row !== undefined && !kept) await addReferrer(parts, repository, row, access);
  return { digest };
}

/** True when the registry says that it keeps referrers. */
async function put(
  parts: ClientParts,
  repository: RepositoryName,
  target: string,
  manifest: PushedManifest,
  access: RegistryAccess,
): Promise<boolean> {
  const endpoint = await pushEndpoint(parts, repository);
  const what = `cannot push ${targetName(repository, target)}`;
  const { bytes, mediaType } = manifest;
  return onEndpoint(parts, endpoint, access, true, async () => {
    const answer = await parts.session.send(endpoint, {
      method: "PUT",
      path: `/${repository.path}/manifests/${target}`,
      headers: { "content-type": mediaType },
      body: { sizeBytes: bytes.length, open: () => once(bytes) },
      scopes: pushScopes(repository.path),
      access,
      what,
    });
    if (answer.status !== 201 && answer.status !== 200 && answer.status !== 202) {
      throw pushError(await statusError(answer, what, parts.session.reading(access)), repository);
    }
    checkDigest(answer, digestOf(bytes), what);
    answer.body.resume();
    return answer.headers["oci-subject"] !== undefined;
  });
}

/** A registry that stored something else than was sent would be found out at the next pull only. */
function checkDigest(answer: HttpAnswer, digest: Digest, what: string): void {
  const named = answer.headers["docker-content-digest"];
  if (named === undefined || named === digest) return;
  const message = `${what}: the registry stored ${String(named).slice(0, 100)} instead of ${digest}`;
  throw new NaruError("damaged", message, { digest });
}

interface ReferrerRow {
  readonly subject: Digest;
  readonly descriptor: Descriptor;
}

function referrerRow(
  { bytes, mediaType }: PushedManifest,
  digest: Digest,
): ReferrerRow | undefined {
  const body = decodeJson(bytes, "the manifest");
  if (!isObject(body) || !isObject(body["subject"])) return undefined;
  const subject = body["subject"]["digest"];
  if (typeof subject !== "string" || !isDigest(subject)) {
    throw new NaruError("invalid_argument", "the manifest's subject has no sha256 digest");
  }
  const config = isObject(body["config"]) ? body["config"]["mediaType"] : undefined;
  const artifactType = [body["artifactType"], config].find((type) => typeof type === "string");
  const annotations = isObject(body["annotations"]) ? body["annotations"] : undefined;
  return {
    subject,
    descriptor: {
      mediaType,
      digest,
      size: bytes.length,
      ...(typeof artifactType === "string" ? { artifactType } : {}),
      ...(annotations === undefined ? {} : { annotations: annotations as Record<string, string> }),
    },
  };
}

/** @see distribution-spec "Referrers Tag Schema" */
async function addReferrer(
  parts: ClientParts,
  repository: RepositoryName,
  { subject, descriptor }: ReferrerRow,
  access: RegistryAccess,
): Promise<void> {
  const tag = referrersTag(subject);
  let rows: readonly Descriptor[] = [];
  try {
    rows = descriptorsOf((await fetchManifest(parts, repository, tag, access)).bytes, tag);
  } catch (error) {
    if (!isNaruError(error, "not_found")) throw error;
  }
  if (rows.some(({ digest }) => digest === descriptor.digest)) return;
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...rows, descriptor] };
  const bytes = encodeJson(index);
  await put(parts, repository, tag, { mediaType: OCI_INDEX, bytes }, access);
  parts.logger.debug("wrote a referrers tag", { tag, subject: digestHex(subject) });
}

async function* once(bytes: Uint8Array): RegistryBytes {
  yield bytes;
}
