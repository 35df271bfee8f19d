import { type ErrorKind, NaruError, workerUrl } from "../base/mod.ts";
import type { LinkAddress, Route } from "./netlink/address.ts";
import type { Link } from "./netlink/link.ts";
import type {
  BridgeRequest,
  CreateNamespaceRequest,
  DefaultRoutes,
  NamespaceEndpoint,
  NetnsAnswer,
  NetnsOperation,
  NetnsOperations,
  NetnsQuestion,
  ParentRequest,
} from "./netns-protocol.ts";
import { type SyscallError, syscallErrorFrom } from "./syscall-error.ts";

const KINDS: Readonly<Record<string, ErrorKind>> = {
  EEXIST: "conflict",
  EBUSY: "conflict",
  ENOENT: "not_found",
  ENODEV: "not_found",
  EPERM: "forbidden",
  EINVAL: "invalid_argument",
  ENOMEM: "exhausted",
  ENOSPC: "exhausted",
  EMFILE: "exhausted",
  ENFILE: "exhausted",
  EOPNOTSUPP: "unsupported",
};

/**
 * Network namespaces, links, addresses and routes of the namespace that the creator of this object
 * is in. All kernel work is done in one Worker, in order. Errors are NaruError with a SyscallError
 * as cause. Dropping namespace and links: a namespace that nothing holds takes its links along.
 */
export class NetworkKernel {
  readonly #worker: Worker;
  readonly #waiting: Map<number, PromiseWithResolvers<unknown>> = new Map();
  #lastId = 0;
  #closed = false;

  constructor() {
    this.#worker = new Worker(workerUrl("linux/netns.worker.ts"));
    this.#worker.unref();
    this.#worker.addEventListener("message", ({ data }: MessageEvent<NetnsAnswer>) =>
      this.#answer(data),
    );
    this.#worker.addEventListener("error", ({ message }) => this.#fail(message));
  }

  /** All or nothing: after an error neither namespace, file nor link is there. */
  async createNamespace(request: CreateNamespaceRequest): Promise<void> {
    await this.#ask("createNamespace", request);
  }

  /** All or nothing. Throws not_found when the namespace or the parent is gone. */
  async addEndpoint(path: string, endpoint: NamespaceEndpoint): Promise<void> {
    await this.#ask("addEndpoint", { path, endpoint });
  }

  /** Idempotent. Takes as long as deleting a link does. */
  async removeEndpoint(path: string, innerLink: string): Promise<void> {
    await this.#ask("removeEndpoint", { path, innerLink });
  }

  async setRoutes(path: string, routes: DefaultRoutes): Promise<void> {
    await this.#ask("setRoutes", { path, routes });
  }

  /** Lets a container reach itself through its bridge. Throws not_found when the link is gone. */
  async hairpin(hostLink: string): Promise<void> {
    await this.#ask("hairpin", { hostLink });
  }

  /** Finds or makes a link for macvlan and ipvlan to stand on; true when it was made. */
  ensureParent(request: ParentRequest): Promise<boolean> {
    return this.#ask("ensureParent", request);
  }

  /** Unbinds and removes the file; the namespace ends with its last process. Idempotent. */
  async removeNamespace(path: string): Promise<void> {
    await this.#ask("removeNamespace", { path });
  }

  /** Takes 20 to 35 ms a link in the kernel, less in batches: never before an answer. Idempotent. */
  async deleteLinks(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#ask("deleteLinks", { names });
  }

  /** Finds or makes a bridge with the address, up. Throws conflict when the name is no bridge's. */
  ensureBridge(request: BridgeRequest): Promise<Link> {
    return this.#ask("ensureBridge", request);
  }

  links(): Promise<Link[]> {
    return this.#ask("links", null);
  }

  addresses(): Promise<LinkAddress[]> {
    return this.#ask("addresses", null);
  }

  /** Routes of the main table, of both families. */
  routes(): Promise<Route[]> {
    return this.#ask("routes", null);
  }

  /** Links inside, or undefined when no namespace is bound to `path`. */
  namespaceLinks(path: string): Promise<Link[] | undefined> {
    return this.#ask("namespaceLinks", { path });
  }

  #ask<K extends NetnsOperation>(
    operation: K,
    request: NetnsOperations[K]["request"],
  ): Promise<NetnsOperations[K]["answer"]> {
    if (this.#closed) {
      return Promise.reject(new NaruError("unavailable", "the network worker is closed"));
    }
    this.#lastId += 1;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, waiting);
    if (this.#waiting.size === 1) this.#worker.ref(); // an answer is owed: do not exit before it
    const question: NetnsQuestion = { id: this.#lastId, operation, request };
    this.#worker.postMessage(question);
    return waiting.promise as Promise<NetnsOperations[K]["answer"]>;
  }

  #answer(answer: NetnsAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (answer.kind === "done") waiting?.resolve(answer.answer);
    else if (answer.kind === "broken") waiting?.reject(new NaruError("internal", answer.message));
    else waiting?.reject(networkError(syscallErrorFrom(answer.failure)));
  }

  #fail(message: string): void {
    this.#closed = true;
    for (const waiting of this.#waiting.values()) {
      waiting.reject(new NaruError("internal", `the network worker failed: ${message}`));
    }
    this.#waiting.clear();
  }

  close(): void {
    this.#closed = true;
    this.#worker.terminate();
    this.#fail("closed");
  }
}

function networkError(cause: SyscallError): NaruError {
  const kind = KINDS[cause.code] ?? "internal";
  const details = { call: cause.call, errno: cause.errno, subject: cause.subject };
  return new NaruError(kind, `network set-up failed: ${cause.message}`, details, { cause });
}
