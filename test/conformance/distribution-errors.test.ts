/** The error codes of the OCI distribution specification, each test named after one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { OCI_MANIFEST, RegistryRequests, sha256 } from "../harness/registry-requests.ts";

let registry: TestRegistry;
let client: RegistryRequests;
const MISSING = sha256("nobody has these bytes");

beforeAll(async () => {
  registry = await startRegistry();
  client = new RegistryRequests(registry.url);
});
afterAll(() => registry.close());

async function expectCode(answer: Response, status: number, code: string): Promise<void> {
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect([answer.status, await client.code(answer)]).toEqual([status, code]);
}

const begin = async (): Promise<string> =>
  (await client.send("POST", "/v2/codes/blobs/uploads/")).headers.get("location") ?? "";

test("code-1: BLOB_UNKNOWN", async () => {
  await expectCode(await client.send("GET", `/v2/codes/blobs/${MISSING}`), 404, "BLOB_UNKNOWN");
  const deleted = await client.send("DELETE", `/v2/codes/blobs/${MISSING}`);
  await expectCode(deleted, 404, "BLOB_UNKNOWN");
});

test("code-2: BLOB_UPLOAD_INVALID", async () => {
  const location = await begin();
  const odd = await client.send("PATCH", location, {
    ...{ headers: { "Content-Range": "some" }, body: "x" },
  });
  await expectCode(odd, 400, "BLOB_UPLOAD_INVALID");
  const early = await client.send("PATCH", location, {
    ...{ headers: { "Content-Range": "5-5" }, body: "x" },
  });
  await expectCode(early, 416, "BLOB_UPLOAD_INVALID");
});

test("code-3: BLOB_UPLOAD_UNKNOWN", async () => {
  for (const id of ["00000000-0000-0000-0000-000000000000", "no-upload"]) {
    const answer = await client.send("PATCH", `/v2/codes/blobs/uploads/${id}`, { body: "x" });
    await expectCode(answer, 404, "BLOB_UPLOAD_UNKNOWN");
  }
  const other = (await begin()).replace("/codes/", "/other/");
  await expectCode(await client.send("GET", other), 404, "BLOB_UPLOAD_UNKNOWN");
});

test("code-4: DIGEST_INVALID", async () => {
  const malformed = await client.send("GET", "/v2/codes/blobs/sha256:abc");
  await expectCode(malformed, 400, "DIGEST_INVALID");
  const none = await client.send("PUT", await begin(), { body: "x" });
  await expectCode(none, 400, "DIGEST_INVALID");
  const location = await begin();
  const wrong = await client.send("PUT", `${location}?digest=${MISSING}`, { body: "x" });
  await expectCode(wrong, 400, "DIGEST_INVALID");
  expect((await client.send("HEAD", `/v2/codes/blobs/${MISSING}`)).status).toBe(404);
  const post = await client.send("POST", `/v2/codes/blobs/uploads/?digest=${MISSING}`, {
    body: "x",
  });
  await expectCode(post, 400, "DIGEST_INVALID");
  const manifest = await client.pushManifest("codes", MISSING, "{}");
  await expectCode(manifest, 400, "DIGEST_INVALID");
});

test("code-5: MANIFEST_BLOB_UNKNOWN", async () => {
  const text = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] },
    config: { mediaType: "application/x-c", digest: MISSING, size: 2 },
  });
  await expectCode(await client.pushManifest("codes", "x", text), 404, "MANIFEST_BLOB_UNKNOWN");
});

test("code-6: MANIFEST_INVALID", async () => {
  for (const text of [
    "",
    "null",
    "[]",
    "{",
    '{"schemaVersion":1}',
    '{"schemaVersion":2}',
    '{"schemaVersion":2,"config":{"digest":"sha256:x","size":1},"layers":[]}',
    `{"schemaVersion":2,"config":{"digest":"${MISSING}","size":-1},"layers":[]}`,
    `{"schemaVersion":2,"config":{"digest":"${MISSING}","size":1},"layers":{}}`,
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}',
    `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
  ]) {
    await expectCode(await client.pushManifest("codes", "x", text), 400, "MANIFEST_INVALID");
  }
  const tag = await client.pushManifest("codes", "-no-tag", "{}");
  await expectCode(tag, 400, "MANIFEST_INVALID");
  const type = await client.pushManifest("codes", "x", "{}", "text/plain");
  await expectCode(type, 400, "MANIFEST_INVALID");
});

test("code-7: MANIFEST_UNKNOWN", async () => {
  for (const reference of ["none", MISSING]) {
    const path = `/v2/codes/manifests/${reference}`;
    await expectCode(await client.send("GET", path), 404, "MANIFEST_UNKNOWN");
    await expectCode(await client.send("DELETE", path), 404, "MANIFEST_UNKNOWN");
  }
});

test("code-8: NAME_INVALID", async () => {
  for (const name of [
    "UPPER",
    "a//b",
    "a/../b",
    "a/%2e%2e/b",
    "-a",
    "a.",
    "a%00b",
    "%C3%A9",
    "a_-b",
  ]) {
    const answer = await rawGet(`/v2/${name}/tags/list`);
    expect([name, answer]).toEqual([name, expect.stringContaining('"NAME_INVALID"')]);
  }
  const long = `/v2/${"a/".repeat(200)}a/tags/list`;
  await expectCode(await client.send("GET", long), 400, "NAME_INVALID");
});

test("code-9: NAME_UNKNOWN", async () => {
  const answer = await client.send("GET", "/v2/nobody/tags/list");
  await expectCode(answer, 404, "NAME_UNKNOWN");
  await expectCode(await client.send("GET", "/v2/a/b"), 404, "NAME_UNKNOWN");
});

test("code-10: SIZE_INVALID", async () => {
  const chunk = await client.send("PATCH", await begin(), {
    ...{ headers: { "Content-Range": "0-9" }, body: "x" },
  });
  await expectCode(chunk, 400, "SIZE_INVALID");
  const large = await client.pushManifest("codes", "x", " ".repeat(4 * 1024 * 1024 + 1));
  await expectCode(large, 413, "SIZE_INVALID");
  await client.pushBlob("codes", "x");
  await expectCode(await client.send("GET", "/v2/codes/tags/list?n=-1"), 400, "SIZE_INVALID");
});

test("code-13: UNSUPPORTED", async () => {
  const answer = await client.send("POST", "/v2/codes/tags/list");
  expect(answer.headers.get("allow")).toBe("GET");
  await expectCode(answer, 405, "UNSUPPORTED");
});

/** fetch resolves dots in paths: this one sends them. */
async function rawGet(path: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = "";
  const [hostname = "", port = ""] = registry.host.split(":");
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      },
      data: (_socket, chunk) => {
        received += chunk.toString();
      },
      close: () => resolve(received),
      error: () => resolve(received),
    },
  });
  return promise;
}
