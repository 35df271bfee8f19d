import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";

type Body = Readonly<Record<string, unknown>>;

/** Answers one call instead of the plugin; what it returns is sent as JSON unless it answered. */
export type Misbehaviour = (method: string, response: ServerResponse) => unknown;

/**
 * A volume plugin of its own: directories under a temporary folder, spoken to by Docker's plugin
 * protocol on a unix socket. `close()` always.
 */
export class VolumePlugin {
  /** Every call as `Method name id`, in order. */
  readonly calls: string[] = [];
  /** By volume: the users that it is mounted for. */
  readonly mounts: Map<string, Set<string>> = new Map();
  readonly root: string = mkdtempSync("/tmp/naru-plugin-");
  misbehave: Misbehaviour | undefined;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(socketPath: string): Promise<VolumePlugin> {
    mkdirSync(dirname(socketPath), { recursive: true });
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const body = text === "" ? {} : (JSON.parse(text) as Body);
        plugin.#answer((request.url ?? "/").slice(1), body, response);
      });
    });
    const plugin = new VolumePlugin(server);
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    return plugin;
  }

  #answer(method: string, body: Body, response: ServerResponse): void {
    const name = textOf(body["Name"]);
    const id = textOf(body["ID"]);
    this.calls.push([method.replace("VolumeDriver.", ""), name, id].filter(Boolean).join(" "));
    const odd = this.misbehave?.(method, response);
    if (response.writableEnded || response.destroyed || odd === NO_ANSWER) return;
    const answer = odd ?? this.#perform(method, name, id);
    response.setHeader("Content-Type", "application/vnd.docker.plugins.v1.2+json");
    response.end(JSON.stringify(answer));
  }

  #perform(method: string, name: string, id: string): object {
    const path = join(this.root, name);
    const volume = { Name: name, Mountpoint: path, Status: { colour: "blue" } };
    const isKnown = this.mounts.has(name);
    switch (method) {
      case "Plugin.Activate":
        return { Implements: ["VolumeDriver"] };
      case "VolumeDriver.Capabilities":
        return { Capabilities: { Scope: "global" } };
      case "VolumeDriver.Create":
        mkdirSync(path, { recursive: true });
        if (!isKnown) this.mounts.set(name, new Set());
        return { Err: "" };
      case "VolumeDriver.List":
        return {
          Volumes: [...this.mounts.keys()].map((one) => ({ Name: one, Mountpoint: "" })),
          Err: "",
        };
    }
    if (!isKnown) return { Err: "there is no such volume here" };
    switch (method) {
      case "VolumeDriver.Remove":
        this.mounts.delete(name);
        rmSync(path, { recursive: true });
        return { Err: "" };
      case "VolumeDriver.Mount":
        this.mounts.get(name)?.add(id);
        return { Mountpoint: path, Err: "" };
      case "VolumeDriver.Unmount":
        this.mounts.get(name)?.delete(id);
        return { Err: "" };
      case "VolumeDriver.Path":
        return { Mountpoint: path, Err: "" };
      case "VolumeDriver.Get":
        return { Volume: volume, Err: "" };
      default:
        return { Err: `no such method: ${method}` };
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** What a misbehaviour gives when it leaves the caller waiting. */
export const NO_ANSWER: unique symbol = Symbol("no answer");

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
