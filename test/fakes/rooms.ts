import { digestOf, NaruError } from "../../src/base/mod.ts";
import type { TerminalDriver } from "../../src/containers/mod.ts";
import type { EventBus } from "../../src/events/mod.ts";
import type { ImageService, ResolvedImage } from "../../src/images/mod.ts";
import type { Endpoint, NetworkService } from "../../src/network/mod.ts";
import type {
  ContainerLog,
  ContainerMonitor,
  ExecProcess,
  ExitRecord,
  StdioClient,
  StdioHub,
} from "../../src/runtime/mod.ts";
import type { Change, LayerStore, WorkItem, WorkQueue } from "../../src/storage/mod.ts";
import { emptyConfig } from "./bodies.ts";

/** What happened in the fakes, in order, and which call is to fail. */
export class Script {
  readonly calls: string[] = [];
  readonly #failures: Map<string, Error> = new Map();

  /** The next call of this name throws. */
  fail(call: string, error: Error = new NaruError("internal", `${call} failed`)): void {
    this.#failures.set(call, error);
  }

  async call(name: string): Promise<void> {
    this.calls.push(name);
    await Promise.resolve();
    const failure = this.#failures.get(name);
    this.#failures.delete(name);
    if (failure !== undefined) throw failure;
  }

  count(name: string): number {
    return this.calls.filter((call) => call === name).length;
  }
}

export interface FakeMonitor extends ContainerMonitor {
  /** Ends the run of a container. */
  exit(id: string, exitCode: number): void;
}

const HANDLE = {
  pid: 2 ** 22 + 1,
  pidStartTime: "1",
  conmonPid: 2 ** 22 + 2,
  conmonStartTime: "1",
};

/** Containers that run until `exit` or a signal: 9 and 15 end them with 128 + signal. */
export function fakeMonitor(script: Script): FakeMonitor {
  const running = new Map<string, PromiseWithResolvers<ExitRecord & { monitorLost: boolean }>>();
  const exit = (id: string, exitCode: number): void => {
    const exitedAtNs = BigInt(Date.now()) * 1_000_000n;
    running.get(id)?.resolve({ exitCode, exitedAtNs, oomKilled: false, monitorLost: false });
  };
  return {
    exit,
    async create(request) {
      await script.call("monitor.create");
      running.set(request.id, Promise.withResolvers());
      return HANDLE;
    },
    start: () => script.call("monitor.start"),
    async kill(id, _runtime, signal) {
      await script.call(`monitor.kill ${signal}`);
      if (signal === 9 || signal === 15) exit(id, 128 + signal);
    },
    expect: () => undefined,
    pause: () => script.call("monitor.pause"),
    resume: () => script.call("monitor.resume"),
    update: () => script.call("monitor.update"),
    async delete(id) {
      await script.call("monitor.delete");
      running.delete(id);
    },
    state: () => Promise.resolve(undefined),
    list: () => Promise.resolve([]),
    waitExit(id) {
      const run = running.get(id);
      return run === undefined ? Promise.reject(new Error("no run")) : run.promise;
    },
    readExit: () => Promise.resolve(undefined),
    isRunning: () => Promise.resolve(false),
    async exec(request): Promise<ExecProcess> {
      await script.call("monitor.exec");
      const hub = fakeHub();
      request.onStdio?.(hub);
      hub.send("out");
      hub.close();
      return {
        pid: 7,
        stdio: hub,
        exited: Promise.resolve({ exitCode: 0 }),
        resize: () => script.call("exec.resize"),
      };
    },
    close: () => Promise.resolve(),
  };
}

export interface FakeHub extends StdioHub {
  send(text: string): void;
}

export function fakeHub(): FakeHub {
  const clients = new Set<StdioClient>();
  const end = Promise.withResolvers<void>();
  return {
    ended: end.promise,
    drained: () => Promise.resolve(), // its clients take everything at once
    attach(client) {
      clients.add(client);
      return () => clients.delete(client);
    },
    writeStdin: () => Promise.resolve(),
    closeStdin: () => undefined,
    close() {
      for (const client of clients) client.end();
      clients.clear();
      end.resolve();
    },
    send(text) {
      for (const client of clients) void client.write("stdout", new TextEncoder().encode(text));
    },
  };
}

export function fakeTerminals(script: Script): TerminalDriver {
  return {
    async connectStdio() {
      await script.call("connectStdio");
      return fakeHub();
    },
    async openLog(): Promise<ContainerLog> {
      await script.call("openLog");
      return {
        read: () => noEntries(),
        started: () => undefined,
        resumed: () => undefined,
        ended: () => undefined,
        rotateIfNeeded: () => Promise.resolve(),
        shipped: () => Promise.resolve(true),
        close: () => Promise.resolve(),
        remove: () => Promise.resolve(),
      };
    },
    resize: () => undefined,
  };
}

async function* noEntries(): AsyncGenerator<never> {
  // A log without lines.
}

export function fakeLayers(script: Script): LayerStore {
  const used: Partial<LayerStore> = {
    driverName: "overlay2",
    get: () => undefined,
    createWritable: () => script.call("layers.createWritable"),
    mount: () => script.call("layers.mount"),
    unmount: () => script.call("layers.unmount"),
    removeWritable: () => script.call("layers.removeWritable"),
    writableSizeBytes: () => Promise.resolve(11),
    writables: () => Promise.resolve([]),
    describe: () => ({}),
  };
  return used as LayerStore;
}

const ENDPOINT: Endpoint = {
  networkId: "n".repeat(64),
  networkName: "bridge",
  endpointId: "e".repeat(64),
  netnsPath: "/run/netns/x",
  hostLink: "veth0",
  macAddress: "02:42:0a:00:00:02",
  ipv4Address: "10.0.0.2",
  ipv4PrefixLength: 24,
  gateway: "10.0.0.1",
};

export function fakeNetwork(script: Script): NetworkService {
  const used: Partial<NetworkService> = {
    parseMode: (text) => (text === "none" || text === "host" ? { kind: text } : { kind: "bridge" }),
    networkByName: () => undefined,
    checkEndpoint: () => undefined,
    async attach() {
      await script.call("network.attach");
      return [ENDPOINT];
    },
    detach: () => script.call("network.detach"),
    sweep: () => script.call("network.sweep"),
    etcFiles: () => Promise.resolve({ hosts: "", hostname: "", resolvConf: "" }),
    endpointSettings: (endpoint) => ({
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      MacAddress: endpoint.macAddress,
      DriverOpts: null,
      NetworkID: endpoint.networkId,
      EndpointID: endpoint.endpointId,
      Gateway: endpoint.gateway,
      IPAddress: endpoint.ipv4Address,
      IPPrefixLen: endpoint.ipv4PrefixLength,
      IPv6Gateway: "",
      GlobalIPv6Address: "",
      GlobalIPv6PrefixLen: 0,
    }),
    publishPorts: () => Promise.resolve(),
    publishedPorts: () => [],
  };
  return used as NetworkService;
}

export function fakeImages(): ImageService {
  const image: ResolvedImage = {
    id: digestOf("busybox"),
    config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
    containerConfig: { ...emptyConfig(), Cmd: ["sh"] },
    chainId: null,
    repoTags: ["busybox:latest"],
  };
  const used: Partial<ImageService> = {
    find: (name) => (name === "busybox" ? image : undefined),
    resolve(name) {
      if (name === "busybox") return image;
      throw new NaruError("not_found", `No such image: ${name}:latest`);
    },
    lease: () => ({ [Symbol.dispose]: () => undefined }),
  };
  return used as ImageService;
}

/** Runs what is submitted when `idle` is awaited. */
export function fakeWork(): WorkQueue {
  const handlers = new Map<string, (payload: unknown) => Promise<void>>();
  let items: WorkItem[] = [];
  let next = 1;
  return {
    handle: (kind, handler) => void handlers.set(kind, handler),
    prepare(kind, payload) {
      const item: WorkItem = { id: String(next++), kind, payload };
      const change: Change = { table: "work", key: item.id, value: item };
      return { item, change };
    },
    submit: (item) => void items.push(item),
    add: () => Promise.resolve(),
    start: () => undefined,
    async idle() {
      const batch = items;
      items = [];
      for (const item of batch) await handlers.get(item.kind)?.(item.payload);
    },
    pending: () => items,
    stop: () => Promise.resolve(),
  };
}

/** Keeps `action exitCode` of everything published. */
export function recordingBus(actions: string[]): EventBus {
  return {
    publish: ({ action }) => void actions.push(action),
    subscribe: () => {
      throw new Error("nobody listens here");
    },
    subscriberCount: () => 0,
  };
}
