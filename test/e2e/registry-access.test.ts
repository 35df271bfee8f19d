/** Users, tokens, rules, quotas, immutable tags, TLS, audit log, webhooks and metrics of the registry. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRegistry, type TestRegistry } from "../harness/registry.ts";
import { RegistryRequests } from "../harness/registry-requests.ts";

const folder = mkdtempSync(join(tmpdir(), "naru-registry-access-"));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const SECRET = "a secret of the receiver";
const received: { body: string; signature: string | null }[] = [];
let failures = 1; // the receiver is down at first
const receiver = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: async (request) => {
    const body = await request.text();
    if (failures > 0) {
      failures -= 1;
      return new Response("not now", { status: 503 });
    }
    received.push({ body, signature: request.headers.get("x-naru-signature") });
    return new Response("");
  },
});
const basic = (user: string, password: string = user): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

let registry: TestRegistry;
let anonymous: RegistryRequests;
let alice: RegistryRequests;
let bob: RegistryRequests;
let guest: RegistryRequests;

beforeAll(async () => {
  const users: string[] = [];
  for (const user of ["alice", "bob", "guest"]) {
    users.push(`${user}:${await Bun.password.hash(user, { algorithm: "bcrypt", cost: 4 })}`);
  }
  const rules = {
    groups: { team: ["alice", "bob"] },
    repositories: [
      { match: "public/**", read: ["anonymous"], write: ["@team"], delete: ["alice"] },
      { match: "small", read: ["*"], write: ["@team"], delete: ["@team"], quota: "1000" },
      {
        ...{ match: "fixed", read: ["*"], write: ["@team"], delete: ["@team"] },
        "immutable-tags": ["v*"],
      },
      { match: "team/*", read: ["@team"], write: ["@team"], delete: ["@team"] },
    ],
  };
  registry = await startRegistry({
    args: [
      ...["--htpasswd", file("users", `# people\n${users.join("\n")}\n`)],
      ...["--rules", file("rules.json", JSON.stringify(rules))],
      ...["--audit-log", join(folder, "audit.log")],
      ...["--webhook", `http://127.0.0.1:${receiver.port}/hook`],
      ...["--webhook-secret-file", file("secret", `${SECRET}\n`)],
    ],
  });
  anonymous = new RegistryRequests(registry.url);
  alice = new RegistryRequests(registry.url, basic("alice"));
  bob = new RegistryRequests(registry.url, basic("bob"));
  guest = new RegistryRequests(registry.url, basic("guest"));
});
afterAll(async () => {
  await registry.close();
  await receiver.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

async function expectCode(answer: Response, status: number, code: string): Promise<void> {
  expect([answer.status, await anonymous.code(answer)]).toEqual([status, code]);
}

describe("who may come in", () => {
  test("code-11: UNAUTHORIZED, with a challenge that names the token service and the scope", async () => {
    const base = await anonymous.send("GET", "/v2/");
    expect(base.headers.get("www-authenticate")).toBe(
      `Bearer realm="${registry.url}/token",service="${registry.host}"`,
    );
    await expectCode(base, 401, "UNAUTHORIZED");
    const pull = await anonymous.send("GET", "/v2/team/x/manifests/v1");
    expect(pull.headers.get("www-authenticate")).toContain('scope="repository:team/x:pull"');
    const push = await anonymous.send("POST", "/v2/team/x/blobs/uploads/");
    expect(push.headers.get("www-authenticate")).toContain('scope="repository:team/x:pull,push"');
    const wrong = new RegistryRequests(registry.url, basic("alice", "wrong"));
    await expectCode(await wrong.send("GET", "/v2/"), 401, "UNAUTHORIZED");
    const nobody = new RegistryRequests(registry.url, basic("nobody"));
    await expectCode(await nobody.send("GET", "/v2/"), 401, "UNAUTHORIZED");
    const forged = new RegistryRequests(registry.url, { Authorization: "Bearer a.b.c" });
    await expectCode(await forged.send("GET", "/v2/"), 401, "UNAUTHORIZED");
    expect((await alice.send("GET", "/v2/")).status).toBe(200);
  });

  test("code-12: DENIED to a user whom no rule allows it", async () => {
    await expectCode(await guest.send("POST", "/v2/team/x/blobs/uploads/"), 403, "DENIED");
    await expectCode(await guest.send("GET", "/v2/team/x/tags/list"), 403, "DENIED");
    await expectCode(await alice.send("POST", "/v2/elsewhere/blobs/uploads/"), 403, "DENIED");
    const { digest } = await bob.pushArtifact("public/a", "v1");
    expect((await anonymous.send("GET", "/v2/public/a/manifests/v1")).status).toBe(200);
    await expectCode(await bob.send("DELETE", `/v2/public/a/manifests/${digest}`), 403, "DENIED");
    expect((await alice.send("DELETE", `/v2/public/a/manifests/${digest}`)).status).toBe(202);
  });

  test("tokens: Basic, a form, a refresh token; scopes only as far as the rules go", async () => {
    const scope = "repository:team/t:pull,push repository:elsewhere:pull";
    const get = async (headers: Record<string, string>, query = ""): Promise<Response> =>
      anonymous.send("GET", `/token?service=x&scope=${encodeURIComponent(scope)}${query}`, {
        headers,
      });
    const issued = (await (await get(basic("alice"), "&offline_token=true")).json()) as {
      token: string;
      refresh_token: string;
      expires_in: number;
    };
    expect(issued.expires_in).toBe(300);
    const bearer = (token: string): RegistryRequests =>
      new RegistryRequests(registry.url, { Authorization: `Bearer ${token}` });
    await bearer(issued.token).pushArtifact("team/t", "v1");
    // Right by the rules, and not in the token:
    const other = await bearer(issued.token).send("GET", "/v2/team/other/tags/list");
    expect(other.headers.get("www-authenticate")).toContain('error="insufficient_scope"');
    await expectCode(other, 401, "UNAUTHORIZED");
    const form = (fields: Record<string, string>): Promise<Response> =>
      anonymous.send("POST", "/token", {
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ service: "x", scope, ...fields }).toString(),
      });
    const again = await form({ grant_type: "refresh_token", refresh_token: issued.refresh_token });
    const { access_token: token } = (await again.json()) as { access_token: string };
    expect((await bearer(token).send("GET", "/v2/team/t/tags/list")).status).toBe(200);
    const password = await form({ grant_type: "password", username: "bob", password: "bob" });
    expect(password.status).toBe(200);
    const bad = await form({ grant_type: "password", username: "bob", password: "no" });
    await expectCode(bad, 401, "UNAUTHORIZED");
    // A refresh token is no access token, and the other way round.
    await expectCode(await bearer(issued.refresh_token).send("GET", "/v2/"), 401, "UNAUTHORIZED");
    const swapped = await form({ grant_type: "refresh_token", refresh_token: issued.token });
    await expectCode(swapped, 401, "UNAUTHORIZED");
    const forGuest = (await (await get(basic("guest"))).json()) as { token: string };
    const denied = await bearer(forGuest.token).send("GET", "/v2/team/t/tags/list");
    await expectCode(denied, 403, "DENIED");
    const forNobody = (await (await get({})).json()) as { token: string };
    const refused = await bearer(forNobody.token).send("GET", "/v2/team/t/tags/list");
    await expectCode(refused, 401, "UNAUTHORIZED");
  });

  test("what a user may not read is neither mounted nor listed", async () => {
    const digest = await alice.pushBlob("team/secret", "nobody else may know");
    const mount = `/v2/public/b/blobs/uploads/?mount=${digest}`;
    for (const query of ["", "&from=team/secret"]) {
      expect((await bob.send("POST", mount + query)).status).toBe(201);
      await bob.send("DELETE", `/v2/public/b/blobs/${digest}`); // refused, and it stays
    }
    const seen = (await (await guest.send("GET", "/v2/_catalog")).json()) as {
      repositories: string[];
    };
    expect(seen.repositories.filter((name) => name.startsWith("team/"))).toEqual([]);
    expect(seen.repositories).toContain("public/b");
  });
});

describe("rules", () => {
  test("immutable tags neither move nor go", async () => {
    const first = await bob.pushArtifact("fixed", "v1");
    expect((await bob.pushManifest("fixed", "v1", first.bytes)).status).toBe(201); // the same again
    const second = await bob.pushArtifact("fixed", "latest");
    await expectCode(await bob.pushManifest("fixed", "v1", second.bytes), 403, "DENIED");
    await expectCode(await bob.send("DELETE", "/v2/fixed/manifests/v1"), 403, "DENIED");
    const byDigest = await bob.send("DELETE", `/v2/fixed/manifests/${first.digest}`);
    await expectCode(byDigest, 403, "DENIED");
    expect((await bob.send("DELETE", "/v2/fixed/manifests/latest")).status).toBe(202);
  });

  test("quotas bound what a repository holds, whatever the way in", async () => {
    const blob = await bob.pushBlob("small", Buffer.alloc(600, 1));
    const post = await bob.send("POST", "/v2/small/blobs/uploads/");
    const location = post.headers.get("location") ?? "";
    const patch = await bob.send("PATCH", location, { body: Buffer.alloc(600, 2) });
    await expectCode(patch, 403, "DENIED");
    const big = await bob.pushBlob("public/big", Buffer.alloc(600, 3));
    const mount = await bob.send("POST", `/v2/small/blobs/uploads/?mount=${big}&from=public/big`);
    await expectCode(mount, 403, "DENIED");
    expect((await bob.send("DELETE", `/v2/small/blobs/${blob}`)).status).toBe(202);
    await bob.pushBlob("small", Buffer.alloc(600, 2));
  });
});

describe("what happened", () => {
  test("the audit log has a line for each push, pull, deletion and refusal", async () => {
    const { digest } = await alice.pushArtifact("public/audit", "v1");
    await anonymous.send("GET", "/v2/public/audit/manifests/v1");
    await guest.send("DELETE", `/v2/public/audit/manifests/${digest}`);
    await Bun.sleep(50); // lines are written in the background
    const lines = readFileSync(join(folder, "audit.log"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line["repository"] === "public/audit" && line["target"] === "manifest");
    expect(lines).toMatchObject([
      { action: "push", user: "alice", address: "127.0.0.1", tag: "v1", digest },
      { action: "pull", user: "", tag: "v1", digest },
      { action: "refuse", user: "guest" },
    ]);
    expect(typeof lines[0]?.["time"]).toBe("string");
  });

  test("webhooks are signed, and sent again after a failure", async () => {
    await alice.pushArtifact("public/hook", "v1");
    const isMine = (one: { body: string }): boolean => one.body.includes("public/hook");
    for (let tries = 0; tries < 100 && !received.some(isMine); tries += 1) await Bun.sleep(20);
    const mine = received.find(isMine);
    const { events } = JSON.parse(mine?.body ?? "{}") as { events: Record<string, unknown>[] };
    expect(events[0]).toMatchObject({
      action: "push",
      target: { repository: "public/hook", tag: "v1" },
      actor: { name: "alice" },
    });
    const hmac = createHmac("sha256", SECRET)
      .update(mine?.body ?? "")
      .digest("hex");
    expect(mine?.signature).toBe(`sha256=${hmac}`);
    expect(failures).toBe(0); // the first delivery failed, and came again
    for (let tries = 0; tries < 100 && received.length < 2; tries += 1) await Bun.sleep(20);
    expect(new Set(received.map(({ body }) => body)).size).toBe(received.length);
  });

  test("metrics are for members, health is for everyone", async () => {
    expect((await anonymous.send("GET", "/healthz")).status).toBe(200);
    await expectCode(await anonymous.send("GET", "/metrics"), 401, "UNAUTHORIZED");
    const text = await (await alice.send("GET", "/metrics")).text();
    expect(text).toMatch(/^naru_registry_repositories \d+$/m);
    expect(text).toMatch(
      /^naru_registry_requests_total\{endpoint="manifest",method="PUT",status="201"\} \d+$/m,
    );
    expect(text).toMatch(/^naru_registry_request_seconds_bucket\{le="\+Inf"\} \d+$/m);
  });
});

describe("starting", () => {
  const refusalOf = async (args: readonly string[], listen?: string): Promise<string> => {
    try {
      const started = await startRegistry({ args, ...(listen !== undefined && { listen }) });
      await started.close();
      return "it started";
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };

  test("refuses other addresses than loopback without users, and says why", async () => {
    for (const listen of ["0.0.0.0:0", ":0", "[::]:0"]) {
      expect(await refusalOf([], listen)).toContain("listens on loopback only");
    }
  });

  test("refuses flags and files that it cannot honour, naming them", async () => {
    const md5 = file("md5", "user:$apr1$x$abcdefghijklmnopqrstuv\n");
    expect(await refusalOf(["--htpasswd", md5])).toContain(`${md5}:1: not NAME:HASH`);
    const rules = file("bad.yaml", "repositories:\n  - match: x\n    wirte: [a]\n");
    expect(await refusalOf(["--rules", rules])).toContain("unknown key wirte");
    const users = file("who.yaml", "repositories:\n  - match: x\n    write: [a]\n");
    expect(await refusalOf(["--rules", users])).toContain("needs --htpasswd");
    expect(await refusalOf(["--tls-cert", users])).toContain("--tls-cert and --tls-key");
    expect(await refusalOf(["--frobnicate"])).toContain("--frobnicate");
    expect(await refusalOf(["--webhook", "ftp://x"])).toContain(
      "--webhook is an http or https URL",
    );
  });

  test("TLS, Basic alone, and every address", async () => {
    const openssl = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
      ...["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", join(folder, "key.pem")],
      ...["-out", join(folder, "cert.pem")],
    ]);
    expect(openssl.exitCode).toBe(0);
    const secure = await startRegistry({
      listen: "0.0.0.0:0",
      args: [
        ...["--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")],
        ...["--htpasswd", join(folder, "users"), "--auth", "basic"],
      ],
    });
    try {
      const client = new RegistryRequests(secure.url.replace("0.0.0.0", "127.0.0.1"));
      const refused = await client.send("GET", "/v2/");
      expect(refused.headers.get("www-authenticate")).toBe('Basic realm="naru registry"');
      const user = new RegistryRequests(client.url, basic("bob"));
      await user.pushArtifact("any/where", "v1"); // without rules, every user may do everything
    } finally {
      await secure.close();
    }
  });
});
