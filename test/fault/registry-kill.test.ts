/** A registry that is killed while it is pushed to, again and again; and one whose disk is full. */
import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRegistry } from "../harness/registry.ts";
import { RegistryRequests, sha256 } from "../harness/registry-requests.ts";

const TEST_TIMEOUT_MS = 60_000;
const KILLS = 6;
const folder = mkdtempSync(join(tmpdir(), "naru-registry-kill-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(
  "what was answered is there after a kill, whole, and the rest does no harm",
  async () => {
    const root = join(folder, "root");
    const answered = new Map<string, string>(); // path -> digest of the body
    for (let round = 0; round < KILLS; round += 1) {
      const registry = await startRegistry({ root });
      const client = new RegistryRequests(registry.url);
      let running = true;
      const pusher = async (name: string): Promise<void> => {
        for (let serial = 0; running; serial += 1) {
          const tag = `t${round}-${serial}`;
          try {
            const { digest, bytes, layer, answer } = await client.pushArtifact(name, tag);
            if (answer.status !== 201) continue;
            answered.set(`/v2/${name}/manifests/${tag}`, sha256(bytes));
            answered.set(`/v2/${name}/manifests/${digest}`, digest);
            answered.set(`/v2/${name}/blobs/${layer}`, layer);
          } catch {
            // The server is gone in the middle of it: nothing was promised.
          }
        }
      };
      const pushers = ["a", "b/c", "d"].map(pusher);
      await Bun.sleep(120 + round * 37);
      await registry.kill9();
      running = false;
      await Promise.all(pushers);
    }
    expect(answered.size).toBeGreaterThan(30);
    const registry = await startRegistry({ root });
    const client = new RegistryRequests(registry.url);
    for (const [path, digest] of answered) {
      const answer = await client.send("GET", path);
      expect([path, answer.status]).toEqual([path, 200]);
      expect(sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(digest);
    }
    await registry.close();
  },
  TEST_TIMEOUT_MS,
);

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("skipped: a full disk needs root, to mount one");

describe.skipIf(!isRoot)("a disk that is full", () => {
  test(
    "is said so, harms nothing, and is given back",
    async () => {
      const root = join(folder, "small");
      mkdirSync(root);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", root]);
      const registry = await startRegistry({ root });
      try {
        const client = new RegistryRequests(registry.url);
        const kept = await client.pushArtifact("full", "v1");
        const begun = await client.send("POST", "/v2/full/blobs/uploads/");
        const location = begun.headers.get("location") ?? "";
        const large = randomBytes(24 * 1024 * 1024);
        const patch = await client.send("PATCH", location, { body: large });
        expect(patch.status).toBe(507);
        expect(await patch.text()).toContain("no space left");
        const found = await client.send("GET", `/v2/full/blobs/${kept.layer}`);
        expect(found.status).toBe(200);
        expect((await client.send("DELETE", location)).status).toBe(204);
        const posted = await client.send(
          "POST",
          `/v2/full/blobs/uploads/?digest=${sha256(large)}`,
          {
            body: large,
          },
        );
        expect(posted.status).toBe(507); // and its bytes are gone with it
        const fits = randomBytes(4 * 1024 * 1024);
        await client.pushBlob("full", fits);
        const back = await client.send("GET", `/v2/full/blobs/${sha256(fits)}`);
        expect(Buffer.from(await back.arrayBuffer()).equals(fits)).toBe(true);
      } finally {
        await registry.close();
        execFileSync("umount", [root]);
      }
    },
    TEST_TIMEOUT_MS,
  );
});
