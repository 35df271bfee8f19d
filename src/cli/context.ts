import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage, NaruError } from "../base/mod.ts";
import {
  createEngineClient,
  type EngineClient,
  type Exchange,
  type TlsOptions,
} from "../sdk/mod.ts";
import { type ClientConfig, configFolder, readClientConfig } from "./client-config.ts";
import { bool, type Flag, list, text } from "./flags/flag.ts";
import type { FlagValues } from "./flags/flag-values.ts";
import type { CliIo } from "./io.ts";

export const DEFAULT_SOCKET = "/run/naru/naru.sock";
const DOCKER_SOCKET = "/var/run/docker.sock";

/** Before the command's name. */
export const GLOBAL_FLAGS: readonly Flag[] = [
  text("config", "", "Location of client config files"),
  bool("debug", "D", "Show the requests to the engine, and where errors come from"),
  list("host", "H", "Engine socket to connect to (unix:///path, tcp://host:port)"),
  text("log-level", "l", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', {
    preset: "info",
  }),
  bool("no-autostart", "", "Do not start an engine when none answers at the default socket"),
  bool("tls", "", "Use TLS; implied by --tlsverify"),
  text("tlscacert", "", "Trust certs signed only by this CA"),
  text("tlscert", "", "Path to TLS certificate file"),
  text("tlskey", "", "Path to TLS key file"),
  bool("tlsverify", "", "Use TLS and verify the remote"),
  bool("version", "v", "Print version information and quit"),
];

/** What commands share: the streams, the configuration and the engine. */
export class CliContext {
  readonly io: CliIo;
  /** `naru` or `docker`, as it was called. */
  readonly program: string;
  readonly #global: FlagValues;
  #config: ClientConfig | undefined;
  #engine: EngineClient | undefined;

  constructor(io: CliIo, program: string, global: FlagValues) {
    this.io = io;
    this.program = program;
    this.#global = global;
  }

  get debug(): boolean {
    return this.#global.bool("debug") || this.#global.string("log-level") === "debug";
  }

  get configFolder(): string {
    return configFolder(this.#global.string("config"), this.io.environment);
  }

  get config(): ClientConfig {
    this.#config ??= readClientConfig(this.configFolder);
    return this.#config;
  }

  /** Undefined: nobody named a host, so the default socket and autostart apply. */
  get namedHost(): string | undefined {
    const given = this.#global.list("host");
    if (given.length > 1) {
      throw new NaruError("invalid_argument", "specify only one -H");
    }
    const { environment } = this.io;
    return given[0] || environment["NARU_HOST"] || environment["DOCKER_HOST"] || undefined;
  }

  /** Connects at first use; starts an engine where that is the rule. */
  async engine(): Promise<EngineClient> {
    if (this.#engine !== undefined) return this.#engine;
    const named = this.namedHost;
    // By the name `docker` it looks where docker would; without an engine there naru's own is meant.
    const asDocker = named === undefined && this.program === "docker" && existsSync(DOCKER_SOCKET);
    const client = createEngineClient({
      host: named ?? `unix://${asDocker ? DOCKER_SOCKET : DEFAULT_SOCKET}`,
      tls: this.#tls(),
      apiVersion: this.io.environment["DOCKER_API_VERSION"] || undefined,
      headers: this.config.HttpHeaders,
      onExchange: this.debug ? (exchange) => this.#showExchange(exchange) : undefined,
    });
    this.#engine = client;
    if (named === undefined && !asDocker && !this.#global.bool("no-autostart")) {
      try {
        await client.apiVersion();
      } catch (error) {
        if (!(error instanceof NaruError) || error.kind !== "unavailable") throw error;
        const { startEngine } = await import("./autostart.ts");
        await startEngine(this.io, client);
      }
    }
    return client;
  }

  close(): void {
    this.#engine?.close();
  }

  #showExchange({ method, target, status, durationMs }: Exchange): void {
    const outcome = status ?? "no answer";
    this.io.stderr.print(`debug: ${method} ${target}: ${outcome} (${durationMs.toFixed(1)} ms)\n`);
  }

  #tls(): TlsOptions | undefined {
    const { environment } = this.io;
    const verify =
      this.#global.bool("tlsverify") || (environment["DOCKER_TLS_VERIFY"] ?? "") !== "";
    if (!verify && !this.#global.bool("tls")) return undefined;
    const folder = environment["DOCKER_CERT_PATH"] || this.configFolder;
    const read = (flag: string, name: string): string | undefined => {
      const path = this.#global.string(flag) || join(folder, name);
      try {
        return readFileSync(path, "utf8");
      } catch (cause) {
        if (!this.#global.has(flag) && !verify) return undefined;
        const why = errorMessage(cause);
        throw new NaruError(
          "invalid_argument",
          `cannot read ${path} for --${flag}: ${why}`,
          {},
          { cause },
        );
      }
    };
    return {
      ca: verify ? read("tlscacert", "ca.pem") : undefined,
      cert: read("tlscert", "cert.pem"),
      key: read("tlskey", "key.pem"),
      verify,
    };
  }
}
