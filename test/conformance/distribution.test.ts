/** The endpoints of the OCI distribution specification 1.1, each test named after one of its table. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import {
  OCI_INDEX,
  OCI_MANIFEST,
  RegistryRequests,
  sha256,
  sha512,
} from "../harness/registry-requests.ts";

let registry: TestRegistry;
let client: RegistryRequests;
const MISSING = sha256("nobody has these bytes");

beforeAll(async () => {
  registry = await startRegistry();
  client = new RegistryRequests(registry.url);
});
afterAll(() => registry.close());

const begin = async (repository: string): Promise<string> => {
  const answer = await client.send("POST", `/v2/${repository}/blobs/uploads/`);
  expect(answer.status).toBe(202);
  return answer.headers.get("location") ?? "";
};

describe("pull", () => {
  test("end-1: GET /v2/", async () => {
    const answer = await client.send("GET", "/v2/");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
    expect((await client.send("GET", "/v2")).status).toBe(200);
  });

  test("end-2: GET and HEAD of a blob, whole and in ranges", async () => {
    const bytes = randomBytes(700_000);
    const digest = await client.pushBlob("end-2", bytes);
    const path = `/v2/end-2/blobs/${digest}`;
    const whole = await client.send("GET", path);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("docker-content-digest")).toBe(digest);
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
    const head = await client.send("HEAD", path);
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "700000"]);
    for (const [range, start, end] of [
      ["bytes=0-9", 0, 10],
      ["bytes=300000-", 300_000, 700_000],
      ["bytes=-5", 699_995, 700_000],
      ["bytes=699990-900000", 699_990, 700_000],
    ] as const) {
      const part = await client.send("GET", path, { headers: { Range: range } });
      expect(part.status).toBe(206);
      expect(part.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/700000`);
      expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(start, end))).toBe(true);
    }
    const beyond = await client.send("GET", path, { headers: { Range: "bytes=700000-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */700000"]);
    const cached = await client.send("GET", path, { headers: { "If-None-Match": `"${digest}"` } });
    expect(cached.status).toBe(304);
  });

  test("end-3: GET and HEAD of a manifest by tag and by digest, to the byte", async () => {
    const { digest, bytes } = await client.pushArtifact("end-3", "v1");
    for (const reference of ["v1", digest]) {
      const answer = await client.send("GET", `/v2/end-3/manifests/${reference}`);
      expect(answer.headers.get("content-type")).toBe(OCI_MANIFEST);
      expect(answer.headers.get("docker-content-digest")).toBe(digest);
      expect(await answer.text()).toBe(bytes);
      const head = await client.send("HEAD", `/v2/end-3/manifests/${reference}`);
      expect(head.headers.get("content-length")).toBe(String(bytes.length));
      expect(head.headers.get("docker-content-digest")).toBe(digest);
    }
    const odd = await client.send("GET", "/v2/end-3/manifests/.INVALID_MANIFEST_NAME");
    expect(odd.status).toBe(404);
  });
});

describe("push", () => {
  test("end-4a and end-6: POST, then PUT with the bytes", async () => {
    const bytes = randomBytes(1000);
    const put = await client.send("PUT", `${await begin("end-4a")}?digest=${sha256(bytes)}`, {
      body: bytes,
    });
    expect(put.status).toBe(201);
    expect(put.headers.get("docker-content-digest")).toBe(sha256(bytes));
    const found = await client.send("GET", put.headers.get("location") ?? "");
    expect(Buffer.from(await found.arrayBuffer()).equals(bytes)).toBe(true);
  });

  test("end-4b: POST with ?digest= and the bytes", async () => {
    for (const bytes of [randomBytes(3_000_000), Buffer.alloc(0)]) {
      const path = `/v2/end-4b/blobs/uploads/?digest=${sha256(bytes)}`;
      const answer = await client.send("POST", path, { body: bytes });
      expect(answer.status).toBe(201);
      const found = await client.send("GET", answer.headers.get("location") ?? "");
      expect(Buffer.from(await found.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  test("end-5: PATCH in chunks, the last one with the PUT; out of order is 416", async () => {
    const bytes = randomBytes(3000);
    let location = await begin("end-5");
    const chunk = (method: string, start: number, end: number, query = ""): Promise<Response> =>
      client.send(method, location + query, {
        headers: {
          "Content-Range": `${start}-${end - 1}`,
          "Content-Type": "application/octet-stream",
        },
        body: bytes.subarray(start, end),
      });
    const early = await chunk("PATCH", 1000, 2000);
    expect(early.status).toBe(416);
    const first = await chunk("PATCH", 0, 1000);
    expect([first.status, first.headers.get("range")]).toEqual([202, "0-999"]);
    location = first.headers.get("location") ?? "";
    const again = await chunk("PATCH", 0, 1000);
    expect([again.status, again.headers.get("range")]).toEqual([416, "0-999"]);
    const status = await client.send("GET", again.headers.get("location") ?? "");
    expect([status.status, status.headers.get("range")]).toEqual([204, "0-999"]);
    expect((await chunk("PATCH", 1000, 2000)).status).toBe(202);
    const outOfOrder = await chunk("PUT", 2500, 3000, `?digest=${sha256(bytes)}`);
    expect(outOfOrder.status).toBe(416);
    const last = await chunk("PUT", 2000, 3000, `?digest=${sha256(bytes)}`);
    expect(last.status).toBe(201);
    const found = await client.send("GET", last.headers.get("location") ?? "");
    expect(Buffer.from(await found.arrayBuffer()).equals(bytes)).toBe(true);
  });

  test("end-5: a PATCH without Content-Range streams", async () => {
    const bytes = randomBytes(2_500_000);
    const patch = await client.send("PATCH", await begin("end-5"), { body: bytes });
    expect([patch.status, patch.headers.get("range")]).toEqual([202, "0-2499999"]);
    const location = patch.headers.get("location") ?? "";
    const put = await client.send("PUT", `${location}?digest=${sha256(bytes)}`);
    expect(put.status).toBe(201);
  });

  test("end-7: PUT of a manifest by tag and by digest, with a subject, with ?tag=", async () => {
    const subject = { mediaType: OCI_MANIFEST, digest: MISSING, size: 3 };
    const { digest, answer, bytes } = await client.pushArtifact("end-7", "v1", { subject });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("docker-content-digest")).toBe(digest);
    expect(answer.headers.get("oci-subject")).toBe(MISSING);
    const found = await client.send("GET", answer.headers.get("location") ?? "");
    expect(await found.text()).toBe(bytes);
    const tagged = await client.pushManifest("end-7", `${digest}?tag=one&tag=two`, bytes);
    expect([tagged.status, tagged.headers.get("oci-tag")]).toEqual([201, "one, two"]);
    expect((await client.send("HEAD", "/v2/end-7/manifests/two")).status).toBe(200);
  });

  test("end-7: manifests of every kind that the specification knows", async () => {
    const { digest, bytes } = await client.pushArtifact("end-7", "kinds");
    const child = { mediaType: OCI_MANIFEST, digest, size: bytes.length };
    const absent = { ...child, digest: MISSING, platform: { os: "linux", architecture: "arm64" } };
    const config = {
      mediaType: "application/x-c",
      digest: await client.pushBlob("end-7", "{}"),
      size: 2,
    };
    const foreign = {
      mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      ...{ digest: MISSING, size: 9, urls: ["https://example.com/x"] },
    };
    const long = Object.fromEntries(
      Array.from({ length: 390 }, (_, index) => [`a${index}`, "A".repeat(10_000)]),
    );
    for (const [type, document] of [
      [OCI_INDEX, { manifests: [child, absent] }],
      [OCI_INDEX, { manifests: [] }],
      [OCI_INDEX, { manifests: [child], artifactType: "application/x-a", subject: child }],
      [OCI_MANIFEST, { config, layers: [] }],
      [OCI_MANIFEST, { config, layers: null }],
      [OCI_MANIFEST, { config, layers: [foreign], custom: { field: [1] } }],
      [OCI_MANIFEST, { config, layers: [], annotations: long }],
      ["application/vnd.docker.distribution.manifest.v2+json", { config, layers: [] }],
      ["application/vnd.docker.distribution.manifest.list.v2+json", { manifests: [child] }],
    ] as const) {
      const text = JSON.stringify({ schemaVersion: 2, mediaType: type, ...document });
      const answer = await client.pushManifest("end-7", sha256(text), text, type);
      expect([answer.status, text.slice(0, 200)]).toEqual([201, text.slice(0, 200)]);
      const back = await client.send("GET", `/v2/end-7/manifests/${sha256(text)}`);
      expect(back.headers.get("content-type")).toBe(type);
      expect(await back.text()).toBe(text);
    }
  });

  test("end-11: mounts a blob of another repository, with ?from= and without", async () => {
    const digest = await client.pushBlob("end-11/source", randomBytes(100));
    const path = `/v2/end-11/target/blobs/uploads/?mount=${digest}`;
    const mounted = await client.send("POST", `${path}&from=end-11/source`);
    expect(mounted.status).toBe(201);
    expect((await client.send("HEAD", mounted.headers.get("location") ?? "")).status).toBe(200);
    const anywhere = await client.send("POST", `/v2/end-11/third/blobs/uploads/?mount=${digest}`);
    expect(anywhere.status).toBe(201);
    const absent = await client.send("POST", `/v2/end-11/x/blobs/uploads/?mount=${MISSING}&from=a`);
    expect(absent.status).toBe(202);
    expect(absent.headers.get("location")).toContain("/blobs/uploads/");
  });

  test("end-13 and end-14: how far an upload is, and giving it up", async () => {
    const location = await begin("end-13");
    await client.send("PATCH", location, { body: "0123456789" });
    const status = await client.send("GET", location);
    expect([status.status, status.headers.get("range")]).toEqual([204, "0-9"]);
    expect((await client.send("DELETE", location)).status).toBe(204);
    expect((await client.send("GET", location)).status).toBe(404);
    expect((await client.send("PATCH", location, { body: "x" })).status).toBe(404);
  });

  test("sha512: blobs and manifests by digests of the other algorithm", async () => {
    const bytes = randomBytes(500);
    const layer = await client.pushBlob("sha512", bytes, sha512(bytes));
    const back = await client.send("GET", `/v2/sha512/blobs/${layer}`);
    expect(back.headers.get("docker-content-digest")).toBe(layer);
    expect(Buffer.from(await back.arrayBuffer()).equals(bytes)).toBe(true);
    const posted = await client.send("POST", `/v2/sha512/blobs/uploads/?digest=${sha512("{}")}`, {
      body: "{}",
    });
    expect(posted.status).toBe(201);
    const text = JSON.stringify({
      ...{ schemaVersion: 2, mediaType: OCI_MANIFEST },
      config: { mediaType: "application/x-c", digest: sha512("{}"), size: 2 },
      layers: [{ mediaType: "application/x-l", digest: layer, size: 500 }],
    });
    const put = await client.pushManifest("sha512", sha512(text), text);
    expect(put.headers.get("docker-content-digest")).toBe(sha512(text));
    const found = await client.send("GET", `/v2/sha512/manifests/${sha512(text)}`);
    expect(await found.text()).toBe(text);
    const mount = await client.send(
      "POST",
      `/v2/sha512b/blobs/uploads/?mount=${layer}&from=sha512`,
    );
    expect(mount.status).toBe(201);
  });
});

describe("content discovery", () => {
  test("end-8a and end-8b: tags in order, in pages", async () => {
    const { digest, bytes } = await client.pushArtifact("end-8", undefined);
    const tags = ["v2", "v10", "Latest", "v1", "alpha"];
    const parameters = tags.map((tag) => `tag=${tag}`).join("&");
    await client.pushManifest("end-8", `${digest}?${parameters}`, bytes);
    const list = async (query: string): Promise<{ tags: string[]; link: string | null }> => {
      const answer = await client.send("GET", `/v2/end-8/tags/list${query}`);
      const body = (await answer.json()) as { name: string; tags: string[] };
      expect(body.name).toBe("end-8");
      return { tags: body.tags, link: answer.headers.get("link") };
    };
    const sorted = tags.toSorted();
    expect(await list("")).toEqual({ tags: sorted, link: null });
    expect(await list("?n=0")).toEqual({ tags: [], link: null });
    const first = await list("?n=2");
    expect(first.tags).toEqual(sorted.slice(0, 2));
    const next = /^<\/v2\/end-8\/tags\/list(\?[^>]+)>; rel="next"$/.exec(first.link ?? "")?.[1];
    expect((await list(next ?? "")).tags).toEqual(sorted.slice(2, 4));
    expect(await list(`?n=3&last=${sorted[1]}`)).toEqual({ tags: sorted.slice(2), link: null });
    expect((await list("?last=b")).tags).toEqual(["v1", "v10", "v2"]);
  });

  test("end-12a and end-12b: referrers, filtered by type; none is an empty index", async () => {
    const { digest, bytes } = await client.pushArtifact("end-12", "subject");
    const subject = { mediaType: OCI_MANIFEST, digest, size: bytes.length };
    const annotations = { "org.example.a": "b" };
    const one = await client.pushArtifact("end-12", undefined, {
      ...{ subject, annotations, artifactType: "application/x-one" },
    });
    const two = await client.pushArtifact("end-12", "two", { subject });
    const list = async (query: string): Promise<Response> => {
      const answer = await client.send("GET", `/v2/end-12/referrers/${query}`);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, OCI_INDEX]);
      return answer;
    };
    const all = (await (await list(digest)).json()) as { manifests: { digest: string }[] };
    expect(all).toMatchObject({ schemaVersion: 2, mediaType: OCI_INDEX });
    expect(all.manifests.map((found) => found.digest).toSorted()).toEqual(
      [one.digest, two.digest].toSorted(),
    );
    const filtered = await list(
      `${digest}?artifactType=${encodeURIComponent("application/x-one")}`,
    );
    expect(filtered.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(((await filtered.json()) as { manifests: unknown[] }).manifests).toEqual([
      {
        ...{ mediaType: OCI_MANIFEST, digest: one.digest, size: one.bytes.length },
        ...{ artifactType: "application/x-one", annotations },
      },
    ]);
    // The type of the configuration counts where there is no artifactType.
    const byConfig = await list(
      `${digest}?artifactType=${encodeURIComponent("application/vnd.oci.empty.v1+json")}`,
    );
    expect(((await byConfig.json()) as { manifests: unknown[] }).manifests).toHaveLength(1);
    expect(((await (await list(MISSING)).json()) as { manifests: [] }).manifests).toEqual([]);
    const deleted = await client.send("DELETE", `/v2/end-12/manifests/${one.digest}`);
    expect(deleted.status).toBe(202);
    const rest = (await (await list(digest)).json()) as { manifests: { digest: string }[] };
    expect(rest.manifests.map((found) => found.digest)).toEqual([two.digest]);
  });

  test("_catalog: repositories in order, in pages", async () => {
    await client.pushBlob("zz/one", "1");
    await client.pushBlob("zz/two", "2");
    const answer = await client.send("GET", "/v2/_catalog?n=1&last=zz");
    expect(await answer.json()).toEqual({ repositories: ["zz/one"] });
    expect(answer.headers.get("link")).toBe('</v2/_catalog?n=1&last=zz%2Fone>; rel="next"');
  });
});

describe("content management", () => {
  test("end-9: DELETE of a tag leaves the manifest, of a digest takes its tags", async () => {
    const { digest, bytes } = await client.pushArtifact("end-9", "a");
    await client.pushManifest("end-9", "b", bytes);
    const status = async (reference: string): Promise<number> =>
      (await client.send("GET", `/v2/end-9/manifests/${reference}`)).status;
    expect((await client.send("DELETE", "/v2/end-9/manifests/a")).status).toBe(202);
    expect([await status("a"), await status("b"), await status(digest)]).toEqual([404, 200, 200]);
    expect((await client.send("DELETE", `/v2/end-9/manifests/${digest}`)).status).toBe(202);
    expect([await status("b"), await status(digest)]).toEqual([404, 404]);
    expect((await client.send("DELETE", `/v2/end-9/manifests/${digest}`)).status).toBe(404);
  });

  test("end-10: DELETE of a blob, which other repositories keep", async () => {
    const bytes = randomBytes(50);
    const digest = await client.pushBlob("end-10/a", bytes);
    await client.pushBlob("end-10/b", bytes);
    expect((await client.send("DELETE", `/v2/end-10/a/blobs/${digest}`)).status).toBe(202);
    expect((await client.send("GET", `/v2/end-10/a/blobs/${digest}`)).status).toBe(404);
    expect((await client.send("DELETE", `/v2/end-10/a/blobs/${digest}`)).status).toBe(404);
    expect((await client.send("GET", `/v2/end-10/b/blobs/${digest}`)).status).toBe(200);
  });
});
