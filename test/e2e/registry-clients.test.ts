/**
 * Registries that want a name and speak TLS, through the stock docker CLI and naru's own, with skopeo
 * as the other client of the same registry.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CliOptions, type CliResult, cli, cliOk, privileged } from "../harness/cli.ts";
import {
  type DebianRegistry,
  debianRegistryProgram,
  startDebianRegistry,
} from "../harness/debian-registry.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { Authority } from "./daemon-outside.ts";

const TEST_TIMEOUT_MS = 60_000;
const USER = "alice";
const PASSWORD = "pass:wörd $1";
const STOCK = ["/usr/local/bin/docker", "/usr/bin/docker"].find((path) => Bun.which(path));

let folder: string;
let engine: TestEngine;
let secure: DebianRegistry;
let open: DebianRegistry;

async function skopeo(...args: readonly string[]): Promise<string> {
  const child = Bun.spawn(["skopeo", "--insecure-policy", ...args], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`skopeo ${args.join(" ")}: ${err}`);
  return out;
}

const able = privileged() && debianRegistryProgram() !== undefined;
if (!able)
  console.warn("skipped: registries need root, crun, conmon and the package docker-registry");

describe.skipIf(!able)("a registry with TLS and names", () => {
  beforeAll(async () => {
    folder = await mkdtemp("/tmp/naru-reg-clients-");
    await mkdir(join(folder, "keys"));
    const authority = new Authority(join(folder, "keys"));
    const tls = { certPath: authority.path("server"), keyPath: authority.path("server-key") };
    [secure, open] = await Promise.all([
      startDebianRegistry({ users: { [USER]: PASSWORD }, tls }),
      startDebianRegistry(),
    ]);
    const certs = join(folder, "certs.d", secure.host);
    await mkdir(certs, { recursive: true });
    await writeFile(join(certs, "ca.crt"), authority.read("ca"));
    engine = await startEngine({ args: ["--registry-certs-dir", join(folder, "certs.d")] });
    const load = await readFile((await busyboxFiles()).ociArchive);
    await cliOk(engine, ["load"], { stdin: load });
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await engine?.destroy();
    await Promise.all([secure?.close(), open?.close()]);
    await rm(folder, { recursive: true, force: true });
  }, TEST_TIMEOUT_MS);

  for (const program of ["naru", "docker"] as const) {
    describe.skipIf(program === "docker" && STOCK === undefined)(`through ${program}`, () => {
      let env: Record<string, string>;
      const run = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> =>
        cli(engine, args, { program, env, ...options });
      const shown = (args: readonly string[], options: CliOptions = {}): Promise<string> =>
        cliOk(engine, args, { program, env, ...options });
      const name = (): string => `${secure.host}/${program}/busybox:v1`;

      beforeAll(async () => {
        const config = join(folder, `config-${program}`);
        await mkdir(config);
        env = { DOCKER_CONFIG: config };
      });

      test("nobody unknown may push or pull, and is told so", async () => {
        await shown(["tag", "busybox", name()]);
        const pushed = await run(["push", name()]);
        expect(pushed.exitCode).not.toBe(0);
        expect(pushed.stderr).toContain("access denied for");
        const pulled = await run(["pull", `${secure.host}/${program}/none`]);
        expect(pulled.exitCode).not.toBe(0);
        expect(pulled.stderr).toContain("access denied for");
      });

      test("a wrong password is refused", async () => {
        const args = ["login", "-u", USER, "--password-stdin", secure.host];
        const wrong = await run(args, { stdin: "wrong" });
        expect(wrong.exitCode).not.toBe(0);
        expect(wrong.stderr).toMatch(/401|unauthorized|incorrect/i);
        expect(wrong.stderr).not.toContain("wrong\n");
      });

      test("logs in, pushes, looks, pulls by digest, logs out", async () => {
        const args = ["login", "-u", USER, "--password-stdin", secure.host];
        expect(await shown(args, { stdin: `${PASSWORD}\n` })).toContain("Login Succeeded");
        const text = await readFile(join(env["DOCKER_CONFIG"] ?? "", "config.json"), "utf8");
        expect(Object.keys(JSON.parse(text).auths)).toEqual([secure.host]);
        const pushed = await shown(["push", name()]);
        const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1] ?? "";
        const creds = ["--creds", `${USER}:${PASSWORD}`, "--tls-verify=false"];
        const seen = JSON.parse(await skopeo("inspect", ...creds, `docker://${name()}`));
        expect(seen.Digest).toBe(digest);
        await shown(["rmi", name()]);
        expect(await shown(["pull", `${name().replace(":v1", "")}@${digest}`])).toContain(digest);
        expect(await shown(["pull", "-q", name()])).toBe(name());
        expect(await shown(["logout", secure.host])).toContain("Removing login credentials");
        const after = await readFile(join(env["DOCKER_CONFIG"] ?? "", "config.json"), "utf8");
        expect(after).not.toContain(secure.host);
        expect((await run(["pull", name()])).stderr).toContain("access denied for");
      });

      test("manifest inspect shows what the registry has", async () => {
        await shown(["tag", "busybox", `${open.host}/${program}/busybox:v1`]);
        await shown(["push", `${open.host}/${program}/busybox:v1`]);
        const image = `${open.host}/${program}/busybox:v1`;
        const insecure = program === "docker" ? ["--insecure"] : [];
        const found = JSON.parse(await shown(["manifest", "inspect", ...insecure, image]));
        expect(found.schemaVersion).toBe(2);
        expect(found.layers.length).toBe(1);
        const none = `${open.host}/${program}/none:v1`;
        const missing = await run(["manifest", "inspect", ...insecure, none]);
        expect(missing.exitCode).toBe(1);
        expect(missing.stderr).toContain("no such manifest");
      });
    });
  }

  test("off this host TLS is verified, until its certificate is in certs.d", async () => {
    const address = `${engine.subnet}.1`; // of the engine's bridge: no loopback address
    const [certPath, keyPath] = [join(folder, "own.pem"), join(folder, "own-key.pem")];
    execFileSync(
      "openssl",
      [
        ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=own"],
        ...["-addext", `subjectAltName=IP:${address}`, "-keyout", keyPath, "-out", certPath],
      ],
      { stdio: "ignore" },
    );
    const own = await startDebianRegistry({ address, tls: { certPath, keyPath } });
    try {
      await cliOk(engine, ["tag", "busybox", `${own.host}/x`]);
      const refused = await cli(engine, ["push", `${own.host}/x`]);
      expect(refused.exitCode).not.toBe(0);
      expect(refused.stderr).toContain(`the certificate of ${own.host} is not trusted`);
      expect(refused.stderr).toContain(`certs.d/${own.host}/ca.crt`);
      const certs = join(folder, "certs.d", own.host);
      await mkdir(certs);
      await writeFile(join(certs, "ca.crt"), await readFile(certPath));
      const deadlineMs = Date.now() + 10_000; // folders are looked at every 2 s
      let last = await cli(engine, ["push", `${own.host}/x`]);
      while (last.exitCode !== 0 && Date.now() < deadlineMs) {
        await Bun.sleep(500);
        last = await cli(engine, ["push", `${own.host}/x`]);
      }
      expect(last).toMatchObject({ exitCode: 0, stderr: "" });
    } finally {
      await own.close();
    }
  });

  test("credential helpers keep what login is given", async () => {
    const [bin, config] = [join(folder, "bin"), join(folder, "config-helper")];
    await Promise.all([mkdir(bin), mkdir(config)]);
    const kept = join(folder, "kept.json");
    const script = `#!/bin/sh
case $1 in
store) cat > ${kept} ;;
get) if [ -e ${kept} ]; then cat ${kept}; else echo 'credentials not found in native keychain'; exit 1; fi ;;
erase) rm -f ${kept} ;;
esac
`;
    await writeFile(join(bin, "docker-credential-fake"), script, { mode: 0o755 });
    const settings = { credsStore: "fake", psFormat: "kept" };
    await writeFile(join(config, "config.json"), JSON.stringify(settings));
    const env = { DOCKER_CONFIG: config, PATH: `${bin}:${process.env["PATH"]}` };
    const login = ["login", "-u", USER, "--password-stdin", secure.host];
    expect(await cliOk(engine, login, { env, stdin: PASSWORD })).toBe("Login Succeeded");
    expect(JSON.parse(await readFile(kept, "utf8"))).toEqual({
      ServerURL: secure.host,
      Username: USER,
      Secret: PASSWORD,
    });
    const text = await readFile(join(config, "config.json"), "utf8");
    expect(JSON.parse(text)).toEqual({ ...settings, auths: { [secure.host]: {} } });
    await cliOk(engine, ["push", `${secure.host}/naru/busybox:v1`], { env });
    await cliOk(engine, ["logout", secure.host], { env });
    expect(await Bun.file(kept).exists()).toBe(false);
    const missing = { ...env, PATH: process.env["PATH"] ?? "" };
    const failed = await cli(engine, ["pull", `${secure.host}/x`], { env: missing });
    expect(failed.stderr).toContain("docker-credential-fake is not installed");
  });

  test("what skopeo pushed is pulled and run, and what naru pushed is copied by skopeo", async () => {
    const { ociArchive } = await busyboxFiles();
    const target = `${open.host}/skopeo/busybox:v1`;
    const insecure = "--dest-tls-verify=false";
    await skopeo(
      "copy",
      insecure,
      "--dest-compress-format",
      "zstd",
      `oci-archive:${ociArchive}`,
      `docker://${target}`,
    );
    expect(await cliOk(engine, ["run", "--rm", target, "echo", "from skopeo"])).toContain(
      "from skopeo",
    );
    await cliOk(engine, ["tag", target, `${open.host}/naru/back:v1`]);
    await cliOk(engine, ["push", `${open.host}/naru/back:v1`]);
    const source = `docker://${open.host}/naru/back:v1`;
    await skopeo("copy", "--src-tls-verify=false", source, `dir:${join(folder, "copied")}`);
    const digests = await Promise.all(
      [target, `${open.host}/naru/back:v1`].map((image) =>
        skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", `docker://${image}`),
      ),
    );
    expect(digests[0]).toBe(digests[1] ?? "");
  });

  test("no secret is in the engine's log or events", async () => {
    const log = await readFile(engine.logFile, "utf8");
    expect(log).not.toContain(PASSWORD);
    expect(log).not.toContain(Buffer.from(`${USER}:${PASSWORD}`).toString("base64"));
  });
});
