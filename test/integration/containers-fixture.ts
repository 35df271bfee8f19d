import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestOf, NaruError, systemClock } from "../../src/base/mod.ts";
import {
  type ContainerDefaults,
  type ContainerService,
  createContainerService,
} from "../../src/containers/mod.ts";
import { createEventBus, type EventBus } from "../../src/events/mod.ts";
import type { ImageService, ResolvedImage } from "../../src/images/mod.ts";
import { listMounts, mountsBelow, umountDetached } from "../../src/linux/mod.ts";
import { createNetworkService, type NetworkServiceControl } from "../../src/network/mod.ts";
import { createLogger, type Logger, silentLogger } from "../../src/observe/mod.ts";
import {
  type ContainerMonitor,
  createContainerMonitor,
  type OutputStream,
  readHostFacts,
  type StdioClient,
} from "../../src/runtime/mod.ts";
import type { ContainerConfig } from "../../src/spec/mod.ts";
import {
  createWorkQueue,
  type LayerStore,
  type Metadata,
  openLayerStore,
  openMetadata,
  type WorkQueue,
} from "../../src/storage/mod.ts";
import { emptyConfig } from "../fakes/bodies.ts";
import { testVolumes } from "../fakes/volumes.ts";
import { removeCgroups } from "../harness/cgroups.ts";
import { naruCommand, TEST_RUNTIME } from "../harness/program.ts";

const APPLETS =
  "sh true false cat echo sleep seq printf ls id env stty head yes dd kill mount mkdir hostname date wc tee test rm touch ps ip pwd stat free nslookup ping".split(
    " ",
  );

/** Where one engine keeps what it has; survives the engine. */
export interface EngineRoots {
  readonly dir: string;
  readonly shortId: string;
}

export function newRoots(): EngineRoots {
  const dir = mkdtempSync("/tmp/naru-ct-");
  return { dir, shortId: randomBytes(4).toString("hex") };
}

/** The rooms beneath the API, wired as the daemon wires them, with one image of busybox. */
export interface TestEngine {
  readonly service: ContainerService;
  readonly events: EventBus;
  readonly metadata: Metadata;
  readonly work: WorkQueue;
  readonly layers: LayerStore;
  readonly monitor: ContainerMonitor;
  readonly network: NetworkServiceControl;
  readonly roots: EngineRoots;
  /** As an engine goes that is told to: containers stay. */
  close(): Promise<void>;
}

export interface EngineSettings {
  readonly image?: Partial<ContainerConfig>;
  readonly defaults?: Partial<ContainerDefaults>;
  readonly runtime?: "crun" | "runc";
}

export async function startEngine(
  roots: EngineRoots,
  settings: EngineSettings = {},
): Promise<TestEngine> {
  const logger = process.env["NARU_TEST_LOG"] === undefined ? silentLogger : testLogger();
  const runRoot = join(roots.dir, "run");
  const dataRoot = join(roots.dir, "data");
  for (const root of [runRoot, dataRoot]) mkdirSync(root, { recursive: true });
  const metadata = await openMetadata(join(dataRoot, "naru.db"));
  const work = createWorkQueue(metadata, { clock: systemClock, logger });
  const layers = await openLayerStore({ root: join(dataRoot, "layers"), metadata, work, logger });
  const image = await busyboxImage(roots, layers, settings.image ?? {});
  const network = makeNetwork(roots, { metadata, work, logger });
  const monitor = await createContainerMonitor({
    runRoot,
    dataRoot,
    conmonPath: "/usr/bin/conmon",
    cgroupDriver: "cgroupfs",
    monitorCgroups: [],
    logger,
    seccompCache: true,
  });
  const events = createEventBus({
    clock: systemClock,
    journal: { load: () => [], append: () => undefined },
  });
  const late: { service?: ContainerService } = {};
  const places = { ...{ metadata, work, events, logger }, dir: join(dataRoot, "volumes") };
  const volumes = testVolumes(places, (name) => late.service?.usersOfVolume(name) ?? []);
  const service = await createContainerService({
    metadata,
    work,
    layers,
    images: imagesOf(image),
    network,
    monitor,
    events,
    volumes,
    clock: systemClock,
    logger,
    defaults: { ...testDefaults(roots, settings.runtime ?? TEST_RUNTIME), ...settings.defaults },
    host: readHostFacts(),
    dataDir: join(dataRoot, "containers"),
    runDir: runRoot,
  });
  late.service = service;
  await network.start();
  await service.recover();
  work.start();
  return {
    service,
    events,
    metadata,
    work,
    layers,
    monitor,
    network,
    roots,
    async close() {
      await service.close();
      await monitor.close();
      await work.stop();
      network.close();
      layers.close();
      await metadata.close();
    },
  };
}

function makeNetwork(
  roots: EngineRoots,
  parts: { readonly metadata: Metadata; readonly work: WorkQueue; readonly logger: Logger },
): NetworkServiceControl {
  return createNetworkService({
    engineShortId: roots.shortId,
    bridge: `nt${roots.shortId}`,
    ...{ ipv4: { address: "", fixedCidr: "", gateway: "" }, ipv6: undefined },
    mtu: 0,
    icc: true,
    ipMasquerade: true,
    ipForward: true,
    ipForwardDrop: false,
    publishAddress: "",
    allowDirectRouting: false,
    respectHostFirewall: false,
    netd: {
      command: naruCommand(),
      socketPath: join(roots.dir, "run", "netd.sock"),
      statePath: join(roots.dir, "run", "netd.json"),
      logPath: join(roots.dir, "run", "netd.log"),
      version: "test",
    },
    netnsDir: join(roots.dir, "run", "netns"),
    addressPools: [],
    defaultOptions: {},
    hostGateways: [],
    events: { publish: () => undefined },
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    metadata: parts.metadata,
    queue: parts.work,
    logger: parts.logger,
  });
}

/** The group at the top of a hierarchy that holds the containers of an engine. */
export function cgroupParentOf(roots: EngineRoots): string {
  return `naru-${roots.shortId}`;
}

/** Everything of this engine, for the end of a test file. */
export async function destroyEngine(engine: TestEngine): Promise<void> {
  const all = await engine.service.list({ all: true, limit: 0, size: false, filters: new Map() });
  for (const { Id } of all) await engine.service.remove(Id, { force: true, volumes: true });
  await engine.work.idle();
  await engine.network.teardown();
  await engine.close();
  removeCgroups(cgroupParentOf(engine.roots));
  for (const entry of mountsBelow(engine.roots.dir, listMounts())) umountDetached(entry.target);
  rmSync(engine.roots.dir, { recursive: true, force: true });
}

function testLogger(): Logger {
  return createLogger({
    level: () => "debug",
    format: "text",
    write: (line) => process.stderr.write(`${line}\n`),
    now: () => new Date().toISOString(),
  });
}

export function testDefaults(roots: EngineRoots, runtime: "crun" | "runc"): ContainerDefaults {
  return {
    defaultRuntime: runtime,
    runtimes: new Map([
      ["crun", { path: "/usr/bin/crun", args: [] }],
      ["runc", { path: "/usr/sbin/runc", args: [] }],
    ]),
    cgroupParent: `/${cgroupParentOf(roots)}`,
    cgroupDriver: "cgroupfs",
    ulimits: [],
    init: false,
    initPath: "/usr/bin/catatonit",
    shmSizeBytes: 64 * 1024 * 1024,
    noNewPrivileges: false,
    stopTimeoutSeconds: 10,
    seccompProfile: "",
    cgroupnsMode: "private",
    ipcMode: "private",
    logDriver: "json-file",
    logOptions: {},
    dns: [],
    dnsSearch: [],
    cdiSpecDirs: [],
    dnsOptions: [],
  };
}

async function busyboxImage(
  roots: EngineRoots,
  layers: LayerStore,
  config: Partial<ContainerConfig>,
): Promise<ResolvedImage> {
  const root = join(roots.dir, "image");
  rmSync(root, { recursive: true, force: true });
  for (const dir of ["bin", "etc", "tmp", "root", "dev", "proc", "sys", "data/sub"]) {
    mkdirSync(join(root, dir), { recursive: true });
  }
  copyFileSync("/usr/bin/busybox", join(root, "bin/busybox"));
  for (const name of APPLETS) symlinkSync("busybox", join(root, "bin", name));
  await Bun.write(
    join(root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/tmp:/bin/sh\n",
  );
  await Bun.write(join(root, "etc/group"), "root:x:0:\napp:x:1001:\nextra:x:1002:app\n");
  await Bun.write(join(root, "data/file"), "from the image\n");
  const child = Bun.spawn(["tar", "-C", root, "--mtime=@0", "--sort=name", "-cf", "-", "."], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const layer = await layers.apply(null, child.stdout as unknown as AsyncIterable<Uint8Array>);
  const containerConfig: ContainerConfig = {
    ...emptyConfig(),
    Env: ["PATH=/bin", "FROM_IMAGE=yes"],
    Cmd: ["sh"],
    Labels: { of: "image" },
    ...config,
  };
  return {
    id: digestOf("busybox image"),
    config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
    containerConfig,
    chainId: layer.chainId,
    repoTags: ["busybox:latest"],
  };
}

/** Only what containers ask of images. */
function imagesOf(image: ResolvedImage): ImageService {
  const find = (name: string): ResolvedImage | undefined =>
    ["busybox", "busybox:latest", image.id as Digest as string].includes(name) ? image : undefined;
  const used: Pick<ImageService, "find" | "resolve" | "lease"> = {
    find,
    resolve(name) {
      const found = find(name);
      if (found !== undefined) return found;
      throw new NaruError("not_found", `No such image: ${name}:latest`);
    },
    lease: () => ({ [Symbol.dispose]: () => undefined }),
  };
  return used as ImageService;
}

/** A client that keeps all it gets. */
export class Collector implements StdioClient {
  readonly stdout: boolean = true;
  readonly stderr: boolean = true;
  readonly #pieces: Record<OutputStream, Uint8Array[]> = { stdout: [], stderr: [] };
  readonly #over: PromiseWithResolvers<void> = Promise.withResolvers();

  write(stream: OutputStream, bytes: Uint8Array): Promise<void> {
    this.#pieces[stream].push(Uint8Array.from(bytes));
    return Promise.resolve();
  }

  end(): void {
    this.#over.resolve();
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  text(stream: OutputStream = "stdout"): string {
    return Buffer.concat(this.#pieces[stream]).toString("utf8");
  }
}
