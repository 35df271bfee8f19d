/**
 * A registry that lies, floods, and sends the engine elsewhere. Each is refused with the reason, in
 * bounded memory and bytes, and leaves nothing; credentials go nowhere but to the registry.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import {
  breaksOff,
  firstLayer,
  type HostileRegistry,
  redirects,
  sends,
  startHostileRegistry,
} from "../harness/hostile-registry.ts";
import { fileLayer, makeImage, noise, OCI, sha256 } from "../harness/registry-image.ts";
import { residentBytes } from "./resident.ts";

const TEST_TIMEOUT_MS = 60_000;
const MIB = 1024 * 1024;
const SECRET = "hunter2";
const AUTH = Buffer.from(
  JSON.stringify({ username: "me", password: SECRET, serveraddress: "x" }),
).toString("base64url");
const INDEX = `${OCI}.index.v1+json`;
const image = makeImage([fileLayer("file", noise(200_000, "hostile"))]);
const { blob, bytes } = firstLayer(image);
const LAYER = new RegExp(blob.digest);

let engine: TestEngine;
let evil: HostileRegistry;
/** On the engine's bridge: a private address, not loopback. */
let inner: HostileRegistry;
let other: HostileRegistry;

async function pull(name: string): Promise<string> {
  const path = `/images/create?fromImage=${encodeURIComponent(name)}&tag=v1`;
  const answer = await engine.fetch(path, {
    method: "POST",
    headers: { "x-registry-auth": AUTH },
  });
  const text = await answer.text();
  const last = text.trim().split("\r\n").at(-1) ?? "";
  const { error, message } = JSON.parse(last) as { error?: string; message?: string };
  return error ?? message ?? "";
}

const refused = (): Promise<string> => pull(`${evil.host}/tests/x`);

function secretsSeen(registry: HostileRegistry): string[] {
  const forms = [SECRET, Buffer.from(`me:${SECRET}`).toString("base64")];
  return registry.requests
    .filter((seen) => forms.some((form) => JSON.stringify(seen).includes(form)))
    .map(({ path }) => path);
}

describe.skipIf(!privileged())("a hostile registry", () => {
  beforeAll(async () => {
    const first = await startEngine();
    engine = first;
    inner = await startHostileRegistry(`${engine.subnet}.1`);
    await engine.stop();
    const args = ["--max-download-attempts", "2", "--insecure-registry", `${engine.subnet}.0/24`];
    await engine.start({ args });
    [evil, other] = await Promise.all([startHostileRegistry(), startHostileRegistry()]);
  }, TEST_TIMEOUT_MS);

  afterEach(async () => {
    for (const registry of [evil, inner, other]) registry.clear();
    const listed = await engine.fetch("/images/json?all=1");
    expect(await listed.json()).toEqual([]);
  });

  afterAll(async () => {
    await Promise.all([evil?.close(), inner?.close(), other?.close()]);
    await engine?.destroy();
  }, TEST_TIMEOUT_MS);

  test("sends other bytes than the digest's: refused, and not asked for ever", async () => {
    evil.serve(image);
    evil.on(LAYER, sends(noise(bytes.length, "other")));
    expect(await refused()).toContain(blob.digest);
    expect(evil.requests.filter(({ path }) => LAYER.test(path)).length).toBeLessThan(10);
    expect(readdirSync(join(engine.dataRoot, "partial"))).toEqual([]);
  });

  test("sends a manifest that is not its digest's, or names another", async () => {
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [{ mediaType: image.mediaType, digest: sha256("?"), size: 100 }],
    });
    evil.serve(image);
    evil.on(/manifests\/v1/, sends(index, { "content-type": INDEX }));
    expect(await refused()).toContain("does not match its digest");
    evil.clear();
    evil.serve(image);
    const headers = { "content-type": image.mediaType, "docker-content-digest": sha256("?") };
    evil.on(/manifests/, sends(image.manifest, headers));
    expect(await refused()).toContain("does not match the digest");
  });

  test("sends more or less than it said", async () => {
    evil.serve(image);
    evil.on(LAYER, sends(Buffer.concat([bytes, bytes])));
    expect(await refused()).toContain(`not ${bytes.length}`);
    evil.on(LAYER, sends(bytes.subarray(0, 1000)));
    expect(await refused()).toContain(`not ${bytes.length}`);
    evil.on(LAYER, breaksOff(bytes, 10));
    expect(await refused()).not.toBe("");
    // Bytes beyond the last good one would be kept for the next pull, which is checked as a whole.
    evil.on(LAYER, evil.endless());
    expect(await refused()).toContain(blob.digest);
    expect(evil.endlessBytes).toBeLessThan(64 * MIB);
  });

  test("floods: manifests, lists of tags, errors and tokens without an end", async () => {
    const before = residentBytes(engine.pid);
    const huge = { "content-type": image.mediaType, "content-length": `${100 * MIB}` };
    evil.on(/manifests/, evil.endless(huge));
    expect(await refused()).toMatch(/more than|larger|too large/);
    evil.on(/manifests/, evil.endless({ "content-type": image.mediaType }));
    expect(await refused()).toMatch(/more than|larger|too large/);
    evil.on(/tags\/list/, evil.endless());
    const all = await engine.fetch(`/images/create?fromImage=${evil.host}/tests/x`, {
      method: "POST",
    });
    expect(await all.text()).toMatch(/more than|larger|too large/);
    evil.on(/manifests/, (answer, request) => {
      answer.statusCode = 400;
      evil.endless()(answer, request);
    });
    await refused();
    evil.on(/token/, evil.endless());
    const realm = { "www-authenticate": `Bearer realm="${evil.url}/token",service="s"` };
    evil.on(/manifests/, sends("", realm, 401));
    expect(await refused()).toMatch(/more than|larger|too large/);
    expect(evil.endlessBytes).toBeLessThan(128 * MIB);
    expect(residentBytes(engine.pid) - before).toBeLessThan(96 * MIB);
  });

  test("nests indexes a thousand deep", async () => {
    const documents: string[] = [];
    let [below, size] = [sha256("bottom"), 6];
    for (let depth = 0; depth < 1000; depth += 1) {
      const text = JSON.stringify({
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [{ mediaType: INDEX, digest: below, size }],
      });
      documents.unshift(text);
      [below, size] = [sha256(text), text.length];
    }
    const byPath = new Map(documents.map((text) => [sha256(text), text]));
    evil.on(/manifests/, (answer, request) => {
      const found = byPath.get((request.url ?? "").split("/").at(-1) ?? "") ?? documents[0] ?? "";
      sends(found, { "content-type": INDEX })(answer, request);
    });
    expect(await refused()).toContain("nested deeper");
    expect(evil.requests.length).toBeLessThan(20);
  });

  test("sends elsewhere without an end, or to other schemes", async () => {
    evil.serve(image);
    evil.on(LAYER, redirects(`/v2/tests/x/blobs/${blob.digest}`));
    expect(await refused()).toContain("redirects");
    expect(evil.requests.length).toBeLessThan(30);
    for (const place of ["file:///etc/passwd", "ftp://x/y", "gopher://x", "http://\nx"]) {
      const location = place.replace("\n", "%0a");
      evil.on(LAYER, redirects(location));
      expect(await refused()).toContain("refused");
    }
  });

  test("gets no secret to other hosts, whether by a redirect or in a list of tags", async () => {
    evil.serve(image);
    evil.on(/./, sends("", { "www-authenticate": 'Basic realm="x"' }, 401));
    evil.on(/./, (answer, request) => {
      if (request.headers.authorization === undefined) {
        sends("", { "www-authenticate": 'Basic realm="x"' }, 401)(answer, request);
      } else redirects(`${other.url}${request.url}`)(answer, request);
    });
    other.on(/./, sends("", { "www-authenticate": 'Basic realm="mine"' }, 401));
    expect(await refused()).not.toBe("");
    expect(secretsSeen(evil).length).toBeGreaterThan(0);
    expect(other.requests.length).toBeGreaterThan(0);
    expect(secretsSeen(other)).toEqual([]);
    evil.clear();
    other.clear();
    const link = { link: `<${other.url}/v2/tests/x/tags/list?last=a>; rel="next"` };
    evil.on(/tags\/list/, sends('{"tags":[]}', link));
    const all = await engine.fetch(`/images/create?fromImage=${evil.host}/tests/x`, {
      method: "POST",
      headers: { "x-registry-auth": AUTH },
    });
    expect(await all.text()).toContain("refused");
    expect(other.requests).toEqual([]);
  });

  test("on another machine cannot reach what only this host can", async () => {
    const name = `${inner.host}/tests/x`;
    inner.serve(image);
    inner.on(LAYER, redirects(`${other.url}/secret`));
    expect(await pull(name)).toContain("a loopback address: refused");
    inner.on(LAYER, redirects("http://169.254.169.254/latest/meta-data"));
    expect(await pull(name)).toContain("a link-local address: refused");
    const realm = { "www-authenticate": `Bearer realm="${other.url}/token",service="s"` };
    inner.on(/manifests/, sends("", realm, 401));
    expect(await pull(name)).toContain("a loopback address: refused");
    expect(other.requests).toEqual([]);
  });

  test("names token services that nobody can ask, and gives tokens that are headers", async () => {
    for (const realm of ["file:///etc/shadow", "ftp://x/token", "nonsense"]) {
      const wants = { "www-authenticate": `Bearer realm="${realm}",service="s"` };
      evil.on(/manifests/, sends("", wants, 401));
      expect(await refused()).toContain("token service");
    }
    const wants = { "www-authenticate": `Bearer realm="${evil.url}/token",service="s"` };
    evil.on(/manifests/, sends("", wants, 401));
    evil.on(/token/, sends(JSON.stringify({ token: "a\r\nx-injected: yes" })));
    expect(await refused()).toContain("holds no token");
    expect(evil.requests.some(({ headers }) => "x-injected" in headers)).toBe(false);
  });

  test("is not asked with names that hold headers, paths or queries", async () => {
    for (const path of [
      "x\r\nx-injected: yes",
      "../../etc",
      "x?y=z",
      "x#y",
      "X",
      "x//y",
      "%2e%2e",
    ]) {
      const error = await pull(`${evil.host}/${path}`);
      expect(error).toContain("invalid reference format");
    }
    const tag = encodeURIComponent("v1\r\nx-injected: yes");
    const bad = await engine.fetch(`/images/create?fromImage=${evil.host}/tests/x&tag=${tag}`, {
      method: "POST",
    });
    expect(bad.status).toBe(400);
    expect(evil.requests).toEqual([]);
  });

  test("sends layers that are no archives, or cut ones that match their digest", async () => {
    const cut = bytes.subarray(0, bytes.length - 3000);
    const digest = sha256(cut);
    const text = image.manifest.toString().replaceAll(blob.digest, digest);
    const manifest = text.replace(`"size": ${blob.size}`, `"size": ${cut.length}`);
    evil.serve(image);
    evil.on(/manifests/, sends(manifest, { "content-type": image.mediaType }));
    evil.on(new RegExp(digest), sends(cut));
    expect(await refused()).toContain(digest);
  });
});
