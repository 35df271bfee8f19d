import { createHash, randomBytes } from "node:crypto";

/** sha256 of `bytes` as a digest. */
export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export function sha512(bytes: Uint8Array | string): string {
  return `sha512:${createHash("sha512").update(bytes).digest("hex")}`;
}

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_EMPTY = "application/vnd.oci.empty.v1+json";

/** Requests as a client of the specification makes them, for tests that look at single answers. */
export class RegistryRequests {
  readonly url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, headers: Readonly<Record<string, string>> = {}) {
    this.url = url;
    this.#headers = headers;
  }

  send(
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: Uint8Array | string } = {},
  ): Promise<Response> {
    const url = path.startsWith("http") ? path : `${this.url}${path}`;
    return fetch(url, {
      method,
      keepalive: false,
      redirect: "manual",
      headers: { ...this.#headers, ...options.headers },
      ...(options.body !== undefined && { body: options.body }),
      tls: { rejectUnauthorized: false },
    });
  }

  /** The code of the specification in an answer's body. */
  async code(answer: Response): Promise<string> {
    const { errors } = (await answer.json()) as { errors: { code: string }[] };
    return errors[0]?.code ?? "";
  }

  /** Pushes a blob with one POST and PUT, and gives its digest. */
  async pushBlob(
    repository: string,
    bytes: Uint8Array | string,
    digest: string = sha256(bytes),
  ): Promise<string> {
    const begun = await this.send("POST", `/v2/${repository}/blobs/uploads/`);
    if (begun.status !== 202)
      throw new Error(`POST answered ${begun.status} ${await begun.text()}`);
    const location = begun.headers.get("location") ?? "";
    const put = await this.send("PUT", `${location}?digest=${encodeURIComponent(digest)}`, {
      body: bytes,
    });
    if (put.status !== 201) throw new Error(`PUT answered ${put.status} ${await put.text()}`);
    return digest;
  }

  /** Pushes a manifest of an artifact with one layer. Gives its digest and bytes. */
  async pushArtifact(
    repository: string,
    reference: string | undefined,
    fields: Record<string, unknown> = {},
  ): Promise<{ digest: string; bytes: string; answer: Response; layer: string }> {
    const content = randomBytes(64);
    const layer = await this.pushBlob(repository, content);
    const config = await this.pushBlob(repository, "{}");
    const bytes = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_EMPTY, digest: config, size: 2 },
      layers: [{ mediaType: "application/x-test", digest: layer, size: content.length }],
      ...fields,
    });
    const digest = sha256(bytes);
    const answer = await this.pushManifest(repository, reference ?? digest, bytes);
    return { digest, bytes, answer, layer };
  }

  pushManifest(
    repository: string,
    reference: string,
    bytes: Uint8Array | string,
    type: string = OCI_MANIFEST,
  ): Promise<Response> {
    return this.send("PUT", `/v2/${repository}/manifests/${reference}`, {
      headers: { "Content-Type": type },
      body: bytes,
    });
  }
}
