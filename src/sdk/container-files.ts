import { NaruError } from "../base/mod.ts";
import { type EngineCaller, readText } from "./engine-caller.ts";
import type { RequestBody, WireResponse } from "./wire.ts";

/** `X-Docker-Container-Path-Stat`. `mode` is Go's os.FileMode. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

export interface CommitQuery {
  readonly repo: string;
  readonly tag: string;
  readonly comment: string;
  readonly author: string;
  readonly changes: readonly string[];
  readonly pause: boolean;
}

/** The files of containers, and images made of them. */
export class ContainerFileCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  /** Throws not_found. */
  async stat(ref: string, path: string): Promise<PathStat> {
    const response = await this.#client.call("HEAD", archive(ref), { query: { path } });
    const stat = statOf(response);
    await readText(response);
    return stat;
  }

  /** A tar of a file or of a directory. */
  async read(
    ref: string,
    path: string,
    signal?: AbortSignal,
  ): Promise<{ stat: PathStat; response: WireResponse }> {
    const response = await this.#client.call("GET", archive(ref), { query: { path }, signal });
    return { stat: statOf(response), response };
  }

  /** Unpacks a tar into a directory. */
  write(
    ref: string,
    path: string,
    body: RequestBody,
    options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean; signal?: AbortSignal },
  ): Promise<void> {
    const { noOverwriteDirNonDir, copyUidGid, signal } = options;
    return this.#client.run("PUT", archive(ref), {
      query: { path, noOverwriteDirNonDir, copyUIDGID: copyUidGid || undefined },
      headers: { "Content-Type": "application/x-tar" },
      body,
      signal,
    });
  }

  export(ref: string, signal?: AbortSignal): Promise<WireResponse> {
    return this.#client.call("GET", `/containers/${encodeURIComponent(ref)}/export`, { signal });
  }

  async changes(ref: string): Promise<readonly { Path: string; Kind: number }[]> {
    const path = `/containers/${encodeURIComponent(ref)}/changes`;
    return (await this.#client.json<{ Path: string; Kind: number }[] | null>("GET", path)) ?? [];
  }

  commit(ref: string, query: CommitQuery): Promise<{ Id: string }> {
    return this.#client.json("POST", "/commit", {
      query: {
        container: ref,
        repo: query.repo || undefined,
        tag: query.tag || undefined,
        comment: query.comment || undefined,
        author: query.author || undefined,
        changes: query.changes.length > 0 ? query.changes : undefined,
        pause: query.pause ? undefined : "0",
      },
      json: null,
    });
  }
}

function archive(ref: string): string {
  return `/containers/${encodeURIComponent(ref)}/archive`;
}

function statOf(response: WireResponse): PathStat {
  const header = response.headers.get("x-docker-container-path-stat") ?? "";
  try {
    return JSON.parse(Buffer.from(header, "base64").toString("utf8")) as PathStat;
  } catch (cause) {
    response.close();
    throw new NaruError("unavailable", "the engine did not describe the path", {}, { cause });
  }
}
