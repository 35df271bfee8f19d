/** Garbage collection of the registry: what goes, why the rest stays, and pushes that race with it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { naruCommand } from "../harness/program.ts";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { OCI_INDEX, OCI_MANIFEST, RegistryRequests, sha256 } from "../harness/registry-requests.ts";

interface Line {
  verdict: string;
  kind: string;
  name: string;
  reason: string;
}

const folder = mkdtempSync(join(tmpdir(), "naru-registry-gc-"));
let registry: TestRegistry;
let client: RegistryRequests;

beforeAll(async () => {
  const rules = join(folder, "rules.yaml");
  writeFileSync(
    rules,
    "repositories:\n  - match: kept/*\n    immutable-tags: [fixed]\n" +
      "    retention: {keep-last: 2, keep-tags: ['v*'], untagged-days: 0}\n",
  );
  registry = await startRegistry({
    root: join(folder, "root"),
    args: ["--rules", rules, "--gc-grace", "0s", "--gc-interval", "0"],
  });
  client = new RegistryRequests(registry.url);
});
afterAll(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

async function collect(args: readonly string[], root: string = registry.root): Promise<Line[]> {
  const command = [...naruCommand(), "registry", "gc", "--root", root, "--json", ...args];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([await child.exited, error]).toEqual([0, ""]);
  return out
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

const files = (): string[] => readdirSync(join(registry.root, "blobs/sha256"));
const hasFile = (digest: string): boolean => files().includes(digest.replace("sha256:", ""));

test("a dry run says why each thing stays or goes, and removes nothing", async () => {
  const kept = await client.pushArtifact("plain", "v1");
  const orphan = await client.pushBlob("plain", randomBytes(100));
  const before = files().length;
  const lines = await collect(["--dry-run"]);
  const reasonOf = (name: string): string | undefined => {
    const found = lines.find((line) => line.name === name);
    return found && `${found.verdict}: ${found.reason}`;
  };
  expect(reasonOf("plain:v1")).toBe("keep: no rule removes tags here");
  expect(reasonOf(`plain@${kept.digest}`)).toBe("keep: tag v1");
  expect(reasonOf(`plain@${kept.layer}`)).toBe("keep: named by 1 manifest");
  expect(reasonOf(`plain@${orphan}`)).toBe("remove: no manifest names it");
  expect(reasonOf(orphan)).toBe("remove: unused");
  expect(files().length).toBe(before);
});

test("what no manifest names goes, what another repository has stays", async () => {
  const bytes = randomBytes(200);
  const shared = await client.pushBlob("one", bytes);
  const second = await client.pushArtifact("two", "v1");
  await client.pushBlob("two", bytes);
  const text = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: OCI_MANIFEST },
    config: { mediaType: "application/x-c", digest: sha256("{}"), size: 2 },
    layers: [{ mediaType: "application/x-l", digest: shared, size: 200 }],
  });
  expect((await client.pushManifest("two", "v2", text)).status).toBe(201);
  await collect([]);
  expect((await client.send("HEAD", `/v2/one/blobs/${shared}`)).status).toBe(404);
  expect((await client.send("GET", `/v2/two/blobs/${shared}`)).status).toBe(200);
  await client.send("DELETE", `/v2/two/manifests/${sha256(text)}`);
  await client.send("DELETE", `/v2/two/manifests/${second.digest}`);
  await collect([]);
  await collect([]); // leases of zero seconds have ended by now
  expect([hasFile(shared), hasFile(second.layer), hasFile(second.digest)]).toEqual([
    ...[false, false, false],
  ]);
  expect((await client.send("GET", "/v2/two/tags/list")).status).toBe(404);
});

test("retention removes old tags and then what nothing holds", async () => {
  const pushed: Record<string, { digest: string; bytes: string }> = {};
  for (const tag of ["v1", "fixed", "a", "b", "c"]) {
    pushed[tag] = await client.pushArtifact("kept/x", tag);
  }
  const child = await client.pushArtifact("kept/x", undefined);
  const index = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: OCI_INDEX },
    manifests: [{ mediaType: OCI_MANIFEST, digest: child.digest, size: child.bytes.length }],
  });
  await client.pushManifest("kept/x", "d", index, OCI_INDEX);
  const subject = { mediaType: OCI_MANIFEST, digest: pushed["c"]?.digest, size: 1 };
  const referrer = await client.pushArtifact("kept/x", undefined, { subject });
  const planned = await collect(["--dry-run"]);
  const done = await collect([]);
  const removed = (lines: Line[]): string[] =>
    lines
      .filter((one) => one.verdict === "remove" && one.name.startsWith("kept/x"))
      .map((one) => one.name)
      .toSorted();
  expect(removed(done)).toEqual(removed(planned)); // the dry run told the truth
  const tags = (await (await client.send("GET", "/v2/kept/x/tags/list")).json()) as {
    tags: string[];
  };
  expect(tags.tags).toEqual(["c", "d", "fixed", "v1"]);
  const status = async (digest = ""): Promise<number> =>
    (await client.send("HEAD", `/v2/kept/x/manifests/${digest}`)).status;
  expect(await status(pushed["a"]?.digest)).toBe(404);
  expect(await status(child.digest)).toBe(200);
  expect(await status(referrer.digest)).toBe(200);
});

test("pushes that race with collections lose nothing", async () => {
  const racing = await startRegistry({
    args: ["--gc-interval", "0", "--gc-grace", "2s"],
  });
  try {
    const one = new RegistryRequests(racing.url);
    let running = true;
    let removed = 0;
    const collector = (async (): Promise<void> => {
      while (running) {
        const lines = await collect([], racing.root);
        removed += lines.filter(({ verdict }) => verdict === "remove").length;
      }
    })();
    const shared = randomBytes(500);
    const untilMs = performance.now() + 3500; // leases of the first rounds end meanwhile
    const push = async (name: string): Promise<void> => {
      for (let round = 0; performance.now() < untilMs; round += 1) {
        const { digest, layer } = await one.pushArtifact(name, `t${round}`);
        await one.pushBlob(name, shared);
        expect((await one.send("HEAD", `/v2/${name}/blobs/${sha256(shared)}`)).status).toBe(200);
        const mounted = await one.send(
          ...(["POST", `/v2/${name}/m/blobs/uploads/?mount=${layer}&from=${name}`] as const),
        );
        expect(mounted.status).toBe(201);
        await one.send("DELETE", `/v2/${name}/manifests/${digest}`);
        expect((await one.send("GET", `/v2/${name}/m/blobs/${layer}`)).status).toBe(200);
      }
    };
    await Promise.all(["r/a", "r/b", "r/c"].map(push));
    running = false;
    await collector;
    expect(removed).toBeGreaterThan(0);
  } finally {
    await racing.close();
  }
});

test("without a server the command opens the root, and finds what a crash left", async () => {
  const root = join(folder, "offline");
  const first = await startRegistry({ root });
  const one = new RegistryRequests(first.url);
  const { layer } = await one.pushArtifact("x", "v1");
  const orphan = await one.pushBlob("x", randomBytes(300));
  await first.kill9();
  writeFileSync(join(root, "blobs/sha256", "0".repeat(64)), "a file without a row");
  const lines = await collect(["--gc-grace", "0s"], root);
  const removed = lines.filter(({ verdict }) => verdict === "remove").map(({ name }) => name);
  expect(removed.toSorted()).toEqual(
    [orphan, `sha256:${"0".repeat(64)}`, `x@${orphan}`].toSorted(),
  );
  const again = await startRegistry({ root });
  try {
    const after = new RegistryRequests(again.url);
    expect((await after.send("GET", `/v2/x/blobs/${layer}`)).status).toBe(200);
  } finally {
    await again.close();
  }
});
