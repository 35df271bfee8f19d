import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

/** A foreign registry: Debian's docker-registry, on loopback with a root of its own. */
export interface DebianRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly url: string;
  close(): Promise<void>;
}

export interface DebianRegistryOptions {
  /** Name and password of everybody who may come in; without it anybody may. */
  readonly users?: Readonly<Record<string, string>>;
  /** Where it listens; 127.0.0.1 unless given. */
  readonly address?: string;
  /** Paths of PEM files. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string };
}

const START_LIMIT_MS = 15_000;
const POLL_MS = 20;

/** Undefined where the package is not installed: skip by name then. */
export function debianRegistryProgram(): string | undefined {
  return Bun.which("docker-registry") ?? undefined;
}

export async function startDebianRegistry(
  options: DebianRegistryOptions = {},
): Promise<DebianRegistry> {
  const program = debianRegistryProgram();
  if (program === undefined) throw new Error("docker-registry is not installed");
  const root = await mkdtemp("/tmp/naru-registry-");
  const address = options.address ?? "127.0.0.1";
  const port = await freePort(address);
  await mkdir(join(root, "data"));
  const lines: string[] = [];
  for (const [name, password] of Object.entries(options.users ?? {})) {
    lines.push(`${name}:${await Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 })}`);
  }
  await writeFile(join(root, "htpasswd"), `${lines.join("\n")}\n`);
  const config = {
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(root, "data") },
      delete: { enabled: true },
    },
    http: {
      addr: `${address}:${port}`,
      secret: "of the tests",
      ...(options.tls === undefined
        ? {}
        : { tls: { certificate: options.tls.certPath, key: options.tls.keyPath } }),
    },
    validation: { manifests: { urls: { allow: ["^https?://"] } } }, // foreign layers
    ...(options.users === undefined
      ? {}
      : { auth: { htpasswd: { realm: "tests", path: join(root, "htpasswd") } } }),
  };
  await writeFile(join(root, "config.yml"), JSON.stringify(config)); // YAML's subset
  const child = spawn(program, ["serve", join(root, "config.yml")], {
    stdio: "ignore",
    env: { PATH: process.env["PATH"], OTEL_TRACES_EXPORTER: "none" },
  });
  child.once("error", () => undefined); // seen as an exit
  const host = `${address}:${port}`;
  const url = `${options.tls === undefined ? "http" : "https"}://${host}`;
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended(child);
    await rm(root, { recursive: true, force: true });
  };
  const deadlineMs = Date.now() + START_LIMIT_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadlineMs) {
      await close();
      throw new Error("docker-registry did not start");
    }
    await Bun.sleep(POLL_MS);
  }
  return { host, url, close };
}

async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/v2/`, { tls: { rejectUnauthorized: false } });
    return answer.status === 200 || answer.status === 401;
  } catch {
    return false;
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
    return Promise.resolve();
  }
  return new Promise((resolve) => child.once("exit", () => resolve()));
}
