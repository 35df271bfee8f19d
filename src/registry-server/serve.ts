import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { errorMessage, NaruError, systemClock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { createHttpServer, type Listener, listen, type TlsFiles } from "../transport/mod.ts";
import { type Access, type Action, openAccess } from "./access.ts";
import { AuditLog } from "./audit-log.ts";
import { openCache } from "./cache.ts";
import { serveControl } from "./control.ts";
import { eventsTo } from "./events.ts";
import { type ExtraEndpoint, handle } from "./handler.ts";
import { Htpasswd } from "./htpasswd.ts";
import { PasswordAccess, type TokenRealm } from "./password-access.ts";
import { openRegistry, type Registry } from "./registry.ts";
import { noRules, type Rules } from "./rules.ts";
import { FileRules } from "./rules-file.ts";
import { isLoopback, readServeFlags, type ServeFlags } from "./serve-flags.ts";
import { answerToken } from "./token-endpoint.ts";
import { Tokens } from "./tokens.ts";
import { Webhooks } from "./webhooks.ts";

/** A registry that answers. */
export interface ServedRegistry {
  /** `http://127.0.0.1:5000` */
  readonly url: string;
  /** Reads the rules again. */
  reload(): void;
  close(): Promise<void>;
}

/**
 * A registry within another program. `argv` as of the command; `root` where it names none. Throws
 * invalid_argument naming the flag.
 */
export async function serveWithin(
  argv: readonly string[],
  root: string,
  logger: Logger,
): Promise<ServedRegistry> {
  return await serveRegistry(readServeFlags(["--root", root, ...argv]), logger);
}

/** Opens the registry that `flags` describe and listens. Throws what a user can mend by name. */
export async function serveRegistry(flags: ServeFlags, logger: Logger): Promise<ServedRegistry> {
  const rules = new ReloadedRules(flags.rules);
  const gate = openGate(flags, rules, logger);
  const audit = flags.auditLog && new AuditLog(flags.auditLog, systemClock, logger);
  const secret = flags.webhookSecretFile && readFile(flags.webhookSecretFile).trim();
  let webhooks: Webhooks | undefined;
  const tls = tlsFiles(flags);
  const cache = flags.proxy === "" ? undefined : openCache(flags, logger);
  const registry = await openRegistry({
    ...{ root: flags.root, rules, leaseMs: flags.leaseMs, isServed: true },
    ...(cache && { upstream: (kept) => cache.upstream(kept), unusedMs: flags.proxyKeepMs }),
    ...{ access: gate.access, clock: systemClock, logger },
    events: (work) => {
      const urls = flags.webhooks;
      webhooks = new Webhooks({
        ...{ urls, work, clock: systemClock, logger, secret: secret || undefined },
      });
      return eventsTo([webhooks, ...(audit ? [audit] : [])]);
    },
  });
  const hooks = webhooks as unknown as Webhooks;
  const extra = extraEndpoints(registry, hooks, gate);
  const server = createHttpServer(
    {
      request: (request, response) => void handle(registry.parts, extra, request, response),
      wantsConnection: () => false,
      connection: ({ socket }) => socket.destroy(),
    },
    tls,
  );
  const listeners: Listener[] = [];
  const stopCollecting = collectSometimes(registry, flags.collectMs, logger);
  const close = async (): Promise<void> => {
    stopCollecting();
    hooks.stop();
    cache?.stop();
    for (const listener of listeners) listener.close();
    server.closeAllConnections();
    await registry.close();
    if (audit) await audit.close();
  };
  try {
    const address = { kind: "tcp", host: flags.host, port: flags.port } as const;
    const control = await serveControl(flags.root, (dryRun) => registry.collect(dryRun), logger);
    listeners.push(control);
    const listener = await listen(server, address);
    listeners.push(listener);
    if (tls === undefined && !isLoopback(flags.host)) {
      logger.warn("passwords and content travel unencrypted: use --tls-cert and --tls-key");
    }
    const scheme = tls === undefined ? "http:" : "https:";
    return {
      url: listener.url.replace(/^tcp:/, scheme),
      reload: () => rules.reload(logger),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Who may come in, and the token service if there is one. */
interface Gate {
  readonly access: Access;
  readonly token: ExtraEndpoint | undefined;
}

function openGate(flags: ServeFlags, rules: ReloadedRules, logger: Logger): Gate {
  if (flags.htpasswd === "") {
    if (!rules.namesUsers) return { access: openAccess, token: undefined };
    throw new NaruError("invalid_argument", "--rules says who may do what: that needs --htpasswd");
  }
  const users = new Htpasswd(flags.htpasswd, systemClock, logger);
  const tokens = new Tokens(flags.root, systemClock);
  const allows = (user: string, action: Action, repository: string): boolean =>
    rules.allows(user, action, repository);
  const realm = flags.auth === "basic" ? undefined : realmFor(flags);
  const options = { users, tokens, allows, nowMs: () => systemClock.nowMs() };
  return {
    access: new PasswordAccess({ users, tokens, allows, realm }),
    token: (request, response) => answerToken(options, request, response),
  };
}

/** The token endpoint as the client reaches this server, unless --external-url says better. */
function realmFor(flags: ServeFlags): (request: IncomingMessage) => TokenRealm {
  const own = flags.host.includes(":") ? `[${flags.host}]` : flags.host;
  return (request) => {
    const header = request.headers.host ?? "";
    // It comes from the client and goes back into a header: only what can be a host.
    const host = /^[A-Za-z0-9.:[\]-]{1,255}$/.test(header) ? header : `${own}:${flags.port}`;
    const url = flags.externalUrl || `${flags.tlsCert === "" ? "http" : "https"}://${host}`;
    return { realm: `${url}/token`, service: new URL(url).host };
  };
}

function extraEndpoints(
  { parts }: Registry,
  webhooks: Webhooks,
  { token }: Gate,
): ReadonlyMap<string, ExtraEndpoint> {
  const endpoints = new Map<string, ExtraEndpoint>();
  endpoints.set("/healthz", async (_request, response) => {
    response.writeHead(200, { "Content-Type": "text/plain" }).end("ok\n");
  });
  endpoints.set("/metrics", async (request, response) => {
    parts.access.checkMember(await parts.access.identify(request));
    const text = parts.metrics.text(parts, {
      webhooks_pending: {
        ...{ type: "gauge", help: "Deliveries that wait.", value: webhooks.pending },
      },
      webhooks_dropped_total: {
        ...{ type: "counter", help: "Deliveries given up.", value: webhooks.dropped },
      },
    });
    response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4" }).end(text);
  });
  if (token !== undefined) endpoints.set("/token", token);
  return endpoints;
}

function collectSometimes(registry: Registry, everyMs: number, logger: Logger): () => void {
  if (everyMs === 0) return () => undefined;
  let cancel = (): void => undefined;
  const collect = async (): Promise<void> => {
    let freedBytes = 0;
    let removed = 0;
    for await (const one of registry.collect(false)) {
      freedBytes += one.freedBytes;
      if (one.verdict === "remove") removed += 1;
    }
    if (removed > 0) logger.info("garbage collected", { removed, freedBytes });
  };
  const next = (): void => {
    cancel = systemClock.after(everyMs, () => {
      collect()
        .catch((error: unknown) => logger.error("garbage not collected", { error }))
        .finally(next);
    });
  };
  next();
  return () => cancel();
}

/** The rules of a file that is read again on demand; without a file, users may do everything. */
class ReloadedRules implements Rules {
  readonly #path: string;
  #rules: FileRules | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#rules = path === "" ? undefined : new FileRules(path);
  }

  get namesUsers(): boolean {
    return this.#rules?.namesUsers === true;
  }

  reload(logger: Logger): void {
    if (this.#path === "") return;
    try {
      this.#rules = new FileRules(this.#path);
      logger.info("rules read again");
    } catch (error) {
      logger.error("rules not read again, the old ones stay", { error });
    }
  }

  allows(user: string, action: Action, repository: string): boolean {
    if (this.#rules === undefined) return user !== "";
    return this.#rules.allows(user, action, repository);
  }

  quotaBytes(repository: string): number {
    return (this.#rules ?? noRules).quotaBytes(repository);
  }

  isImmutable(repository: string, tag: string): boolean {
    return (this.#rules ?? noRules).isImmutable(repository, tag);
  }

  retention(repository: string): ReturnType<Rules["retention"]> {
    return (this.#rules ?? noRules).retention(repository);
  }
}

function tlsFiles({ tlsCert, tlsKey }: ServeFlags): TlsFiles | undefined {
  if (tlsCert === "") return undefined;
  return { cert: readFile(tlsCert), key: readFile(tlsKey), ca: undefined };
}

function readFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new NaruError("invalid_argument", errorMessage(error), {}, { cause: error });
  }
}
