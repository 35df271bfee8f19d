/** Pushing to Debian's docker-registry: what crosses the wire, what arrives, and what is said. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { privileged } from "../harness/cli.ts";
import {
  type DebianRegistry,
  debianRegistryProgram,
  startDebianRegistry,
} from "../harness/debian-registry.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { type FaultProxy, startFaultProxy } from "../harness/fault-proxy.ts";
import {
  fileLayer,
  type MadeImage,
  makeImage,
  makeIndex,
  noise,
  putBlob,
  putImage,
  putManifest,
  sha256,
} from "../harness/registry-image.ts";

const TEST_TIMEOUT_MS = 60_000;
const UPLOADS = /\/blobs\/uploads\//;
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

let engine: TestEngine;
let source: DebianRegistry;
let target: DebianRegistry;
let proxy: FaultProxy;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly error: string;
}

async function post(path: string): Promise<Answer> {
  const answer = await engine.fetch(path, { method: "POST" });
  const text = await answer.text();
  const error = /"(?:error|message)":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
  return { status: answer.status, text, error };
}

async function ok(path: string): Promise<string> {
  const { status, text, error } = await post(path);
  expect({ path, status, error }).toMatchObject({ error: "" });
  expect(status).toBeLessThan(300);
  return text;
}

/** Pulls from the source and gives it the name below the proxy. */
async function take(repository: string, name: string): Promise<string> {
  const from = `${source.host}/${repository}`;
  await ok(`/images/create?fromImage=${from}&tag=v1`);
  const to = `${proxy.host}/${name}`;
  await ok(`/images/${from}:v1/tag?repo=${to}&tag=v1`);
  return to;
}

async function remote(name: string, tag: string): Promise<Buffer> {
  const types = ["manifest", "index"].map((type) => `application/vnd.oci.image.${type}.v1+json`);
  const headers = { accept: types.join(", ") };
  const answer = await fetch(`${target.url}/v2/${name}/manifests/${tag}`, { headers });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

async function inSource(repository: string, image: MadeImage): Promise<void> {
  await putImage(source.url, repository, "v1", image);
}

const able = privileged() && debianRegistryProgram() !== undefined;
if (!able) console.warn("skipped: pushes need root, crun, conmon and the package docker-registry");

describe.skipIf(!able)("a push", () => {
  beforeAll(async () => {
    [source, target] = await Promise.all([startDebianRegistry(), startDebianRegistry()]);
    proxy = await startFaultProxy(target.url);
    engine = await startEngine();
  }, TEST_TIMEOUT_MS);

  afterEach(() => proxy.clear());

  afterAll(async () => {
    await engine?.destroy();
    await Promise.all([proxy?.close(), source?.close(), target?.close()]);
  }, TEST_TIMEOUT_MS);

  test("brings a pulled image to the byte, and moves nothing the second time", async () => {
    const image = makeImage([fileLayer("a", noise(300_000, "a")), fileLayer("b", "small")]);
    await inSource("push/once", image);
    const to = await take("push/once", "there/once");
    const said = await ok(`/images/${to}/push?tag=v1`);
    expect(said).toContain(`v1: digest: ${image.digest} size: ${image.manifest.length}`);
    expect(await remote("there/once", "v1")).toEqual(image.manifest);
    proxy.clear();
    const again = await ok(`/images/${to}/push?tag=v1`);
    expect(again).toContain("Layer already exists");
    expect(proxy.seen(UPLOADS)).toEqual([]);
  });

  test("mounts what another repository of the registry has", async () => {
    const image = makeImage([fileLayer("m", noise(200_000, "mount"))]);
    await inSource("push/mount", image);
    const first = await take("push/mount", "there/first");
    await ok(`/images/${first}/push?tag=v1`);
    const second = await take("push/mount", "there/second");
    proxy.clear();
    expect(await ok(`/images/${second}/push?tag=v1`)).toContain("Mounted from there/first");
    expect(proxy.seen(UPLOADS).every(({ sentBytes }) => sentBytes === 0)).toBe(true);
    expect(await remote("there/second", "v1")).toEqual(image.manifest);
  });

  test("goes on after resets and errors", async () => {
    const image = makeImage([fileLayer("r", noise(6_000_000, "reset"))]);
    await inSource("push/reset", image);
    const to = await take("push/reset", "there/reset");
    proxy.inject({
      method: "PATCH",
      path: UPLOADS,
      times: 1,
      fault: { kind: "reset", afterBytes: 2_000_000 },
    });
    proxy.inject({
      method: "POST",
      path: UPLOADS,
      times: 1,
      fault: { kind: "status", status: 503 },
    });
    proxy.inject({
      method: "PUT",
      path: /manifests/,
      times: 1,
      fault: { kind: "status", status: 502 },
    });
    await ok(`/images/${to}/push?tag=v1`);
    expect(await remote("there/reset", "v1")).toEqual(image.manifest);
  });

  test("of an index that is here in part brings the image, and says so", async () => {
    const mine = makeImage([fileLayer("arch", "here")]);
    const other = makeImage([fileLayer("arch", "there")], { architecture: "s390x" });
    for (const image of [mine, other])
      await putImage(source.url, "push/index", image.digest, image);
    const index = makeIndex([
      [mine, { platform: { os: "linux", architecture: ARCHITECTURE } }],
      [other, { platform: { os: "linux", architecture: "s390x" } }],
    ]);
    await putManifest(source.url, "push/index", "v1", index);
    const to = await take("push/index", "there/index");
    expect(await ok(`/images/${to}/push?tag=v1`)).toContain("manifestPushedInsteadOfIndex");
    expect(await remote("there/index", "v1")).toEqual(mine.manifest);
    const platform = encodeURIComponent('{"os":"linux","architecture":"s390x"}');
    const absent = await post(`/images/${to}/push?tag=v1&platform=${platform}`);
    expect(absent.error).toContain("does not provide the specified platform (linux/s390x)");
  });

  test("of a whole index brings it all, with its attestations", async () => {
    const mine = makeImage([fileLayer("arch", "attested")]);
    const type = { "in-toto.io/predicate-type": "https://spdx.dev/Document" };
    const more = { mediaType: "application/vnd.in-toto+json", annotations: type };
    const statement = makeImage([{ tar: Buffer.from('{"sbom":true}'), compression: "none", more }]);
    for (const image of [mine, statement]) {
      await putImage(source.url, "push/whole", image.digest, image);
    }
    const index = makeIndex([
      [mine, { platform: { os: "linux", architecture: ARCHITECTURE } }],
      [
        statement,
        {
          platform: { os: "unknown", architecture: "unknown" },
          annotations: {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": mine.digest,
          },
        },
      ],
    ]);
    await putManifest(source.url, "push/whole", "v1", index);
    const to = await take("push/whole", "there/whole");
    expect(await ok(`/images/${to}/push?tag=v1`)).toContain(index.digest);
    expect(sha256(await remote("there/whole", "v1"))).toBe(index.digest);
    expect(await remote("there/whole", statement.digest)).toEqual(statement.manifest);
    const attested = async (query: string): Promise<unknown> =>
      (await engine.fetch(`/images/${to}:v1/attestations${query}`)).json();
    const said = { PredicateType: "https://spdx.dev/Document" };
    expect(await attested("")).toMatchObject([said]);
    expect(await attested("?statement=1")).toMatchObject([{ ...said, Statement: { sbom: true } }]);
    expect(await attested("?type=https://slsa.dev/provenance/v1")).toEqual([]);
  });

  test("leaves foreign layers where they are", async () => {
    const layer = fileLayer("foreign", noise(3000, "foreign"));
    const urls = [`${source.url}/elsewhere`];
    const image = makeImage([{ ...layer, more: { urls } }]);
    for (const [digest, bytes] of image.blobs) {
      await putBlob(source.url, "push/foreign", digest, bytes);
    }
    await putManifest(source.url, "push/foreign", "v1", image);
    const to = await take("push/foreign", "there/foreign");
    proxy.clear();
    const { text } = await post(`/images/${to}/push?tag=v1`);
    expect(text).toContain("Skipped foreign layer");
    const sent = proxy.seen(UPLOADS).reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    expect(sent).toBeLessThan(1000); // the configuration
  });

  test("of all tags brings each; of what is not here says so", async () => {
    await inSource("push/tags", makeImage([fileLayer("t", "tags")]));
    const to = await take("push/tags", "there/tags");
    await ok(`/images/${to}:v1/tag?repo=${to}&tag=v2`);
    const said = await ok(`/images/${to}/push`);
    expect(said).toContain("v1: digest");
    expect(said).toContain("v2: digest");
    const none = await post(`/images/${proxy.host}/there/none/push?tag=v1`);
    expect(none.text).toContain("does not exist");
  });
});
