import type { Clock } from "../../../base/mod.ts";
import type { NameRecords } from "../contract.ts";
import { HostServers } from "./host-servers.ts";
import { NameServer } from "./name-server.ts";
import { NameSocket, nameFailure } from "./name-socket.ts";
import { NameTable } from "./name-table.ts";
import { Upstream } from "./upstream.ts";

interface Held {
  readonly netnsPath: string;
  readonly socket: Promise<NameSocket>;
}

/** Every container whose look-ups are answered, with its sockets. */
export class HeldNames {
  readonly #table: NameTable = new NameTable();
  readonly #server: NameServer;
  readonly #sockets: Map<string, Held> = new Map();

  constructor(clock: Clock) {
    this.#server = new NameServer({
      table: this.#table,
      upstream: new Upstream(clock),
      host: new HostServers(),
    });
  }

  get size(): number {
    return this.#table.size;
  }

  state(): NameRecords[] {
    return this.#table.all();
  }

  /** In place of what was known of the container. Throws when its namespace is gone. */
  async set(records: NameRecords): Promise<void> {
    const { containerId, netnsPath } = records;
    this.#table.set(records); // others find it from now on
    const held = this.#sockets.get(containerId);
    if (held?.netnsPath === netnsPath) {
      await held.socket;
      return;
    }
    await this.#close(containerId);
    const socket = NameSocket.open(netnsPath, (message, transport) =>
      this.#server.answer(containerId, message, transport),
    );
    this.#sockets.set(containerId, { netnsPath, socket });
    try {
      await socket;
    } catch (error) {
      this.#sockets.delete(containerId);
      this.#table.remove(containerId);
      throw error;
    }
  }

  async drop(containerId: string): Promise<void> {
    this.#table.remove(containerId);
    await this.#close(containerId);
  }

  async #close(containerId: string): Promise<void> {
    const held = this.#sockets.get(containerId);
    this.#sockets.delete(containerId);
    await held?.socket.then(
      (socket) => socket.close(),
      () => undefined,
    );
  }

  /** In place of everything. A namespace that is gone must not cost the others. */
  async sync(all: readonly NameRecords[]): Promise<void> {
    const wanted = new Set(all.map(({ containerId }) => containerId));
    for (const { containerId } of this.state()) {
      if (!wanted.has(containerId)) await this.drop(containerId);
    }
    await Promise.all(
      all.map((records) =>
        this.set(records).catch((error: unknown) => {
          process.stderr.write(`${nameFailure(records.containerId, error)}\n`);
        }),
      ),
    );
  }
}
