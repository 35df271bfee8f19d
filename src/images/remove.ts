import { type Digest, digestHex, NaruError, shortId } from "../base/mod.ts";
import { formatFamiliar, formatReference, type Reference, repositoryOf } from "../oci/mod.ts";
import type { ImageUsers } from "./contract.ts";
import type { FoundImage } from "./image-table.ts";

/** What `DELETE /images/{name}` is going to do. */
export interface RemovalPlan {
  readonly id: Digest;
  /** Keys of the references to take away. */
  readonly untag: readonly Reference[];
  /** The image itself goes too. */
  readonly deleteImage: boolean;
}

/**
 * Docker's rules: a name among several is only taken away; the last name, or an id, removes the
 * image unless containers use it. Throws conflict in Docker's words.
 */
export function planRemoval(
  found: FoundImage,
  references: readonly Reference[],
  input: { readonly users: ReturnType<ImageUsers["usersOf"]>; readonly force: boolean },
): RemovalPlan {
  const { id, by } = found;
  const { users, force } = input;
  const single = isSingle(references);
  if (by.kind === "id") {
    const conflict = conflictOf(id, { users, force, names: single ? 0 : references.length });
    if (conflict !== undefined) throw conflict;
    return { id, untag: references, deleteImage: true };
  }
  const named = references.filter((reference) => formatReference(reference) === by.key);
  const [name] = named;
  const [user] = users;
  if (!force && single && user !== undefined && name !== undefined) {
    throw new NaruError(
      "conflict",
      `conflict: unable to remove repository reference "${formatFamiliar(name)}" (must force) - ` +
        `container ${shortId(user.containerId)} is using its referenced image ${shortImageId(id)}`,
    );
  }
  const rest = references.filter((reference) => !named.includes(reference));
  // Digests of a repository without a tag left there are nothing that anybody asked for.
  const sameRepository = rest.filter(
    (reference) => name !== undefined && repositoryOf(reference) === repositoryOf(name),
  );
  const onlyDigests = sameRepository.every((reference) => reference.digest !== undefined);
  const orphans = onlyDigests && name?.digest === undefined ? sameRepository : [];
  const untag = [...named, ...orphans];
  if (rest.length > orphans.length) return { id, untag, deleteImage: false };
  // A conflict leaves the image without a name; the name is gone all the same, as asked.
  const conflict = conflictOf(id, { users, force, names: 0 });
  return { id, untag, deleteImage: conflict === undefined };
}

/** True when at most one tag is there and everything is of one repository. */
function isSingle(references: readonly Reference[]): boolean {
  if (references.length <= 1) return true;
  const tags = references.filter((reference) => reference.digest === undefined);
  return tags.length <= 1 && new Set(references.map(repositoryOf)).size === 1;
}

function conflictOf(
  id: Digest,
  input: {
    readonly users: ReturnType<ImageUsers["usersOf"]>;
    readonly force: boolean;
    readonly names: number;
  },
): NaruError | undefined {
  const running = input.users.find((user) => user.running);
  if (running !== undefined) {
    const what = `image is being used by running container ${shortId(running.containerId)}`;
    return conflict(id, "cannot be forced", what);
  }
  if (input.force) return undefined;
  if (input.names > 0) {
    return conflict(id, "must be forced", "image is referenced in multiple repositories");
  }
  const [stopped] = input.users;
  if (stopped === undefined) return undefined;
  const what = `image is being used by stopped container ${shortId(stopped.containerId)}`;
  return conflict(id, "must be forced", what);
}

function conflict(id: Digest, force: string, what: string): NaruError {
  const message = `conflict: unable to delete ${shortImageId(id)} (${force}) - ${what}`;
  return new NaruError("conflict", message);
}

export function shortImageId(id: Digest): string {
  return shortId(digestHex(id));
}
