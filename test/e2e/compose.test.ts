/** Debian's docker-compose with a project as people have them: web server, database, workers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { debianRoot } from "../harness/debian-root.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { dockerArchive } from "../harness/rootfs.ts";
import { freePort } from "./daemon-outside.ts";

const LIMIT_MS = 90_000;
const PROGRAM = "/usr/bin/docker-compose";
const execute = promisify(execFile);

const present = Bun.which(PROGRAM) !== null;
const layer = present && privileged() ? await debianRoot() : undefined;
if (!present) console.error("SKIPPED compose: docker-compose is not installed");

let engine: TestEngine;
let folder: string;
let port: number;

beforeAll(async () => {
  if (layer === undefined) return;
  engine = await startEngine();
  folder = join(engine.root, "shop");
  port = await freePort();
  await mkdir(join(folder, "pages"), { recursive: true });
  await writeFile(join(folder, "pages/index.html"), "open for business\n");
  await writeFile(join(folder, "nginx.conf"), NGINX);
  await writeFile(join(folder, "docker-compose.yml"), project(port));
  const worker = "trap exit TERM; while :; do redis-cli -h db incr jobs; sleep 0.1; done";
  const images = [
    { reference: "shop-web:1", config: { Cmd: ["nginx", "-c", "/etc/shop/nginx.conf"] } },
    {
      reference: "shop-db:1",
      config: {
        Cmd: ["redis-server", "--dir", "/data", "--appendonly", "yes", "--protected-mode", "no"],
        Volumes: { "/data": {} },
      },
    },
    { reference: "shop-worker:1", config: { Cmd: ["sh", "-c", worker] } },
  ];
  await cliOk(engine, ["load"], {
    stdin: dockerArchive(images.map((image) => ({ ...image, layers: [layer] }))),
  });
}, LIMIT_MS);

afterAll(async () => {
  await engine?.destroy();
}, LIMIT_MS);

const NGINX = `
daemon off; user root; error_log stderr; pid /run/nginx.pid;
events {}
http {
  access_log off;
  server { listen 80; listen [::]:80; root /srv/pages; }
}
`;

const project = (hostPort: number): string => `
version: "3.8"
services:
  web:
    image: shop-web:1
    ports: ["127.0.0.1:${hostPort}:80"]
    networks: [front]
    volumes: ["./pages:/srv/pages:ro", "./nginx.conf:/etc/shop/nginx.conf:ro"]
    depends_on: [worker]
    restart: unless-stopped
  db:
    image: shop-db:1
    networks:
      back: { aliases: [database] }
    volumes: ["data:/data"]
    healthcheck: { test: ["CMD", "redis-cli", "ping"], interval: 1s, retries: 20 }
  worker:
    image: shop-worker:1
    networks: [front, back]
    depends_on: [db]
    environment: { ROLE: worker }
networks:
  front: {}
  back: { internal: true }
volumes:
  data: {}
`;

async function compose(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await execute(PROGRAM, ["--project-name", "shop", ...args], {
    cwd: folder,
    env: { ...process.env, DOCKER_HOST: engine.host, COMPOSE_HTTP_TIMEOUT: "60" },
  });
  return stdout + stderr;
}

const exec = (name: string, ...command: readonly string[]): Promise<string> =>
  cliOk(engine, ["exec", name, ...command]);

const jobs = async (): Promise<number> =>
  Number(await exec("shop_db_1", "redis-cli", "get", "jobs"));

const page = async (): Promise<string> =>
  await (await fetch(`http://127.0.0.1:${port}/`, { keepalive: false })).text();

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await holds().catch(() => false)) return;
    await Bun.sleep(50);
  }
  throw new Error(`never: ${what}`);
}

const growsFrom = (count: number): Promise<void> =>
  until(`more than ${count} jobs`, async () => (await jobs()) > count);

/** Asks for the page again and again until it is told to stop. */
function visitor(): { stop(): Promise<{ visits: number; failures: string[] }> } {
  let stopped = false;
  const failures: string[] = [];
  let visits = 0;
  const going = (async () => {
    while (!stopped) {
      visits += 1;
      await page().then(
        (text) => text === "open for business\n" || failures.push(text),
        (error: unknown) => failures.length < 5 && failures.push(String(error)),
      );
    }
  })();
  const stop = async (): Promise<{ visits: number; failures: string[] }> => {
    stopped = true;
    await going;
    return { visits, failures };
  };
  return { stop };
}

describe.skipIf(layer === undefined)("docker-compose", () => {
  test(
    "brings a project up, which serves, finds its database and keeps its networks apart",
    async () => {
      const told = await compose("up", "-d");
      for (const name of ["shop_front", "shop_back", "shop_data", "shop_web_1"]) {
        expect(told).toContain(name);
      }
      await until("the page", async () => (await page()) === "open for business\n");
      await growsFrom(2);
      const back = "shop_back";
      const format = `{{(index .NetworkSettings.Networks "${back}").IPAddress}}`;
      const database = await cliOk(engine, ["inspect", "-f", format, "shop_db_1"]);
      const asked = await cli(engine, [
        ...["exec", "shop_web_1", "busybox", "nc", "-w", "1", database, "6379"],
      ]);
      expect(asked.exitCode).not.toBe(0);
      expect(await compose("ps")).toMatch(/shop_db_1 .*Up \(health/);
    },
    LIMIT_MS,
  );

  test(
    "changes nothing when nothing changed, and scales a service that answers by each address",
    async () => {
      expect(await compose("up", "-d")).toMatch(/shop_db_1 is up-to-date/);
      await compose("up", "-d", "--no-recreate", "--scale", "worker=3");
      const asked = await exec("shop_db_1", "busybox", "nslookup", "worker", "127.0.0.11");
      const addresses = new Set(asked.match(/^Address[^:]*: +\d+\.\d+\.\d+\.\d+$/gm));
      expect(addresses.size).toBe(3);
    },
    LIMIT_MS,
  );

  test(
    "traffic does not stop while the engine is killed and started again",
    async () => {
      const before = await jobs();
      const visits = visitor();
      await engine.kill9();
      await Bun.sleep(300); // visits with no engine
      await engine.start();
      const seen = await visits.stop();
      expect(seen.failures).toEqual([]);
      expect(seen.visits).toBeGreaterThan(20);
      await growsFrom(before);
      expect(await compose("ps")).not.toMatch(/Exit/);
    },
    LIMIT_MS,
  );

  test(
    "keeps the named volume when it goes down, and leaves nothing when asked to",
    async () => {
      await exec("shop_db_1", "redis-cli", "set", "kept", "yes");
      await compose("down");
      expect(await cliOk(engine, ["ps", "-aq"])).toBe("");
      expect(await cliOk(engine, ["volume", "ls", "-q"])).toBe("shop_data");
      await compose("up", "-d", "db");
      await until("the database", async () => (await jobs()) > 0);
      expect(await exec("shop_db_1", "redis-cli", "get", "kept")).toBe("yes");
      await compose("down", "--volumes", "--remove-orphans");
      expect(await cliOk(engine, ["ps", "-aq"])).toBe("");
      expect(await cliOk(engine, ["volume", "ls", "-q"])).toBe("");
      const networks = await cliOk(engine, ["network", "ls", "--format", "{{.Name}}"]);
      expect(networks.split("\n").toSorted()).toEqual(["bridge", "host", "none"]);
    },
    LIMIT_MS,
  );
});
