/** The Engine API over fake services on a real unix socket, and a raw client for it. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createEngineApi,
  type EngineServices,
  type RegistryService,
  type SystemFacts,
} from "../../src/api/mod.ts";
import { NaruError } from "../../src/base/mod.ts";
import type { ContainerService } from "../../src/containers/mod.ts";
import type { EventBus } from "../../src/events/mod.ts";
import type { ImageService } from "../../src/images/mod.ts";
import type { NetworkService } from "../../src/network/mod.ts";
import { type Logger, silentLogger } from "../../src/observe/mod.ts";
import { createHttpServer, listen, SOCKET_MODE } from "../../src/transport/mod.ts";
import type { VolumeService } from "../../src/volumes/mod.ts";

type Client = Parameters<ContainerService["attach"]>[1];

/** A container that says what it gets, and remembers it. */
export class FakeStdio {
  tty = false;
  stdinText = "";
  stdinClosed = false;
  detached = 0;
  client: Client | undefined;
  readonly #finished = Promise.withResolvers<void>();

  session(client: Client, hasStdin = true): Awaited<ReturnType<ContainerService["attach"]>> {
    this.client = client;
    return {
      tty: this.tty,
      stdin: !hasStdin
        ? undefined
        : {
            write: async (bytes) => {
              this.stdinText += Buffer.from(bytes).toString();
              await client.write("stdout", Buffer.from(`got ${Buffer.from(bytes).toString()}`));
            },
            close: () => {
              this.stdinClosed = true;
              void client.write("stderr", Buffer.from("eof\n")).then(() => this.finish());
            },
          },
      done: this.#finished.promise,
      detach: () => {
        this.detached += 1;
      },
    };
  }

  finish(): void {
    this.#finished.resolve();
  }
}

export interface Overrides {
  readonly containers?: Partial<ContainerService>;
  readonly images?: Partial<ImageService>;
  readonly events?: Partial<EventBus>;
  readonly networks?: Partial<NetworkService>;
  readonly volumes?: Partial<VolumeService>;
  readonly registry?: Partial<RegistryService>;
  readonly logger?: Logger;
  readonly uploadIdleMs?: number;
}

/** Methods that a test did not give are a missing container or image. */
function fake<T extends object>(given: Partial<T> | undefined, what: string): T {
  return new Proxy((given ?? {}) as T, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      ((ref: unknown) => {
        throw new NaruError("not_found", `No such ${what}: ${String(ref)}`);
      }),
  });
}

export const FACTS: SystemFacts = {
  id: "id",
  hostName: "host",
  labels: [],
  dataRoot: "/d",
  storageDriver: "overlay2",
  storageStatus: [["a", "b"]],
  debug: false,
  openFiles: 1,
  tasks: 1,
  systemTime: "2026-01-01T00:00:00Z",
  logDriver: "json-file",
  logDrivers: [],
  volumeDrivers: ["local"],
  networkDrivers: ["bridge"],
  cgroupDriver: "cgroupfs",
  cgroupVersion: "2",
  cgroups: {
    memory: true,
    swap: true,
    cpuCfsPeriod: true,
    cpuCfsQuota: true,
    cpuShares: true,
    cpuset: true,
    pids: true,
    oomKillDisable: false,
  },
  ipv4Forwarding: true,
  kernelVersion: "6",
  operatingSystem: "Debian",
  osVersion: "12",
  machine: "x86_64",
  architecture: "amd64",
  cpus: 2,
  memoryBytes: 1,
  httpProxy: "",
  httpsProxy: "",
  noProxy: "",
  registries: { mirrors: new Map(), insecure: [] },
  runtimes: { crun: { path: "/usr/bin/crun" } },
  defaultRuntime: "crun",
  runtimeVersion: "1",
  initBinary: "init",
  securityOptions: [],
  addressPools: [],
  firewallDriver: "nftables",
  cdiSpecDirs: [],
  warnings: [],
  gitCommit: "c",
  buildTime: "t",
  languageRuntime: "bun",
  components: [],
};

export interface FakeEngine {
  readonly socketPath: string;
  close(): void;
}

export async function fakeEngine(overrides: Overrides = {}): Promise<FakeEngine> {
  const services: EngineServices = {
    containers: fake<ContainerService>(
      {
        counts: () => ({ running: 0, paused: 0, stopped: 0 }),
        files: fake<ContainerService["files"]>(undefined, "container"),
        ...overrides.containers,
      },
      "container",
    ),
    images: fake<ImageService>({ count: () => 0, ...overrides.images }, "image"),
    events: fake<EventBus>({ subscriberCount: () => 0, ...overrides.events }, "event"),
    networks: fake<NetworkService>(
      { networks: () => [], networkByName: () => undefined, ...overrides.networks },
      "network",
    ),
    volumes: fake<VolumeService>(
      { backups: fake<VolumeService["backups"]>(undefined, "volume"), ...overrides.volumes },
      "volume",
    ),
    registry: fake<RegistryService>({ ...overrides.registry }, "registry"),
    facts: () => FACTS,
    logger: overrides.logger ?? silentLogger,
  };
  const idle = overrides.uploadIdleMs;
  const api = createEngineApi(services, {
    engineVersion: "0.1.0",
    ...(idle === undefined ? {} : { uploadIdleMs: idle }),
  });
  const dir = mkdtempSync(join(tmpdir(), "naru-api-"));
  const socketPath = join(dir, "s");
  const server = createHttpServer(api);
  const listener = await listen(server, {
    kind: "unix",
    path: socketPath,
    mode: SOCKET_MODE,
    groupId: undefined,
  });
  return {
    socketPath,
    close: () => {
      listener.close();
      server.closeAllConnections();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A connection that sends exactly what it is told and waits for what it expects. */
export class RawClient {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  ended = false;
  #wake: () => void = () => undefined;

  constructor(socketPath: string) {
    this.socket = connect({ path: socketPath, allowHalfOpen: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    for (const event of ["end", "close", "error"]) {
      this.socket.on(event, () => {
        this.ended = true;
        this.#wake();
      });
    }
  }

  send(text: string | Uint8Array): this {
    this.socket.write(text);
    return this;
  }

  get text(): string {
    return this.received.toString("latin1");
  }

  /** Waits until `ready`; fails after `limitMs` with what came. */
  async until(ready: () => boolean, limitMs = 5_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!ready()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0)
        throw new Error(`did not come; received ${JSON.stringify(this.text.slice(-400))}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 50));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  says(text: string): Promise<void> {
    return this.until(() => this.text.includes(text));
  }

  async end(): Promise<string> {
    await this.until(() => this.ended);
    return this.text;
  }
}

/** One request on a connection of its own; the whole answer as text. */
export async function exchange(
  socketPath: string,
  request: string | Uint8Array,
): Promise<{ status: number; head: string; body: string }> {
  const client = new RawClient(socketPath);
  client.send(request);
  const answer = (): { head: string; body: string } | undefined => {
    const split = client.text.indexOf("\r\n\r\n");
    if (split < 0) return undefined;
    const head = client.text.slice(0, split);
    const body = client.text.slice(split + 4);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    const status = Number(head.split(" ")[1]);
    const bare = status === 204 || status === 304 || request.toString().startsWith("HEAD");
    const whole =
      bare || (length !== undefined && body.length >= Number(length)) || body.endsWith("0\r\n\r\n");
    return whole || client.ended ? { head, body } : undefined;
  };
  await client.until(() => answer() !== undefined || client.ended);
  client.socket.destroy();
  const { head, body } = answer() ?? { head: "", body: "" };
  return { status: Number(head.split(" ")[1]), head, body };
}

/** Text of a request with a JSON body. */
export function post(path: string, body: string, headers: readonly string[] = []): string {
  const lines = [`POST ${path} HTTP/1.1`, "Host: x", "Content-Type: application/json", ...headers];
  return `${lines.join("\r\n")}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export const UPGRADE: readonly string[] = ["Connection: Upgrade", "Upgrade: tcp"];
