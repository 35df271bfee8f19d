/** naru's registry with the clients that people have: naru, the stock docker CLI, skopeo; and as a mirror. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { RegistryRequests } from "../harness/registry-requests.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 60_000;
const STOCK = ["/usr/local/bin/docker", "/usr/bin/docker"].find((path) => Bun.which(path));
const hasSkopeo = Bun.which("skopeo") !== null;
const able = privileged();
if (!able) console.warn("skipped: pull and push need root, crun and conmon");
if (!hasSkopeo) console.warn("skipped in part: the package skopeo is missing");
if (STOCK === undefined) console.warn("skipped in part: there is no stock docker CLI");

const folder = mkdtempSync(join(tmpdir(), "naru-registry-peers-"));
let engine: TestEngine;
let registry: TestRegistry;
let guarded: TestRegistry;
let cache: TestRegistry;

async function skopeo(...args: readonly string[]): Promise<string> {
  const command = ["skopeo", "--insecure-policy", ...args];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([args[0], await child.exited, error]).toEqual([args[0], 0, expect.anything()]);
  return out;
}

describe.skipIf(!able)("naru's registry", () => {
  beforeAll(async () => {
    const users = join(folder, "users");
    const hash = await Bun.password.hash("pass:wörd", { algorithm: "bcrypt", cost: 4 });
    writeFileSync(users, `alice:${hash}\n`);
    registry = await startRegistry();
    guarded = await startRegistry({ args: ["--htpasswd", users] });
    cache = await startRegistry({ args: ["--proxy", registry.url] });
    engine = await startEngine({ args: ["--mirror", `mirrored.example=${cache.url}`] });
    const load = readFileSync((await busyboxFiles()).ociArchive);
    await cliOk(engine, ["load"], { stdin: load });
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    await engine?.destroy();
    await Promise.all([registry?.close(), guarded?.close(), cache?.close()]);
    rmSync(folder, { recursive: true, force: true });
  }, TEST_TIMEOUT_MS);

  for (const program of ["naru", "docker"] as const) {
    const skip = program === "docker" && STOCK === undefined;
    test.skipIf(skip)(
      `push, remove, pull and run through ${program}`,
      async () => {
        const name = `${registry.host}/${program}/busybox:v1`;
        await cliOk(engine, ["tag", "busybox", name], { program });
        await cliOk(engine, ["push", name], { program });
        await cliOk(engine, ["rmi", name], { program });
        await cliOk(engine, ["pull", name], { program });
        const out = await cliOk(engine, ["run", "--rm", name, "echo", "from the registry"], {
          program,
        });
        expect(out).toContain("from the registry");
      },
      TEST_TIMEOUT_MS,
    );

    test.skipIf(skip)(
      `log in, push and pull with a password through ${program}`,
      async () => {
        const env = { DOCKER_CONFIG: mkdtempSync(join(folder, "config-")) };
        const name = `${guarded.host}/${program}/busybox:v1`;
        await cliOk(engine, ["tag", "busybox", name], { program });
        const refused = await cli(engine, ["push", name], { program, env });
        expect(refused.exitCode).not.toBe(0);
        const login = ["login", "-u", "alice", "--password-stdin", guarded.host];
        const wrong = await cli(engine, login, { program, env, stdin: Buffer.from("wrong") });
        expect(wrong.exitCode).not.toBe(0);
        await cliOk(engine, login, { program, env, stdin: Buffer.from("pass:wörd") });
        await cliOk(engine, ["push", name], { program, env });
        await cliOk(engine, ["rmi", name], { program, env });
        await cliOk(engine, ["pull", name], { program, env });
      },
      TEST_TIMEOUT_MS,
    );
  }

  test.skipIf(!hasSkopeo)(
    "skopeo copies both ways, and digests stay",
    async () => {
      const archive = `oci-archive:${(await busyboxFiles()).ociArchive}`;
      const target = `docker://${registry.host}/skopeo/busybox:v1`;
      await skopeo("copy", "--dest-tls-verify=false", archive, target);
      const back = join(folder, "layout");
      await skopeo("copy", "--src-tls-verify=false", target, `oci:${back}:v1`);
      const { Digest: digest } = JSON.parse(
        await skopeo("inspect", "--tls-verify=false", target),
      ) as { Digest: string };
      const index = JSON.parse(readFileSync(join(back, "index.json"), "utf8")) as {
        manifests: { digest: string }[];
      };
      expect(index.manifests[0]?.digest).toBe(digest);
      const copy = `docker://${guarded.host}/skopeo/busybox:v1`;
      const flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
      await skopeo("copy", ...flags, "--dest-creds", "alice:pass:wörd", target, copy);
      const tags = await skopeo(
        "list-tags",
        "--tls-verify=false",
        `docker://${registry.host}/skopeo/busybox`,
      );
      expect(JSON.parse(tags)).toMatchObject({ Tags: ["v1"] });
      await skopeo("delete", "--tls-verify=false", target);
      const gone = await new RegistryRequests(registry.url).send(
        "GET",
        "/v2/skopeo/busybox/manifests/v1",
      );
      expect(gone.status).toBe(404);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the engine serves a registry itself when it is configured to",
    async () => {
      const config = join(folder, "daemon.json");
      writeFileSync(config, JSON.stringify({ registry: ["--listen", "127.0.0.1:0"] }));
      const both = await startEngine({ args: ["--config-file", config] });
      try {
        let host: string | undefined; // the API answers a moment earlier
        for (let tries = 0; tries < 250 && host === undefined; tries += 1) {
          host = /registry listens" url=http:\/\/(\S+)/.exec(both.logTail())?.[1];
          if (host === undefined) await Bun.sleep(20);
        }
        await cliOk(both, ["load"], { stdin: readFileSync((await busyboxFiles()).ociArchive) });
        await cliOk(both, ["tag", "busybox", `${host}/own:v1`]);
        await cliOk(both, ["push", `${host}/own:v1`]);
        const tags = await new RegistryRequests(`http://${host}`).send("GET", "/v2/own/tags/list");
        expect(await tags.json()).toEqual({ name: "own", tags: ["v1"] });
      } finally {
        await both.destroy();
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a cache is a mirror of any host for the engine",
    async () => {
      const name = `${registry.host}/mirror/busybox:v1`;
      await cliOk(engine, ["tag", "busybox", name]);
      await cliOk(engine, ["push", name]);
      await cliOk(engine, ["pull", "mirrored.example/mirror/busybox:v1"]);
      const kept = await new RegistryRequests(cache.url).send("GET", "/v2/_catalog");
      expect(await kept.json()).toEqual({ repositories: ["mirror/busybox"] });
    },
    TEST_TIMEOUT_MS,
  );
});
