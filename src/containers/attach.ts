import { NaruError } from "../base/mod.ts";
import type { StdioClient, StdioHub } from "../runtime/mod.ts";
import type { AttachOptions, AttachSession } from "./contract.ts";
import { readLogs } from "./logs.ts";
import type { ContainerRecord } from "./record.ts";
import { type PendingAttachment, publish, type Room } from "./room.ts";

/**
 * Connects a client to a container that runs or will run. A client that comes before the start
 * waits for the hub, which it gets before the first byte.
 */
export async function attachContainer(
  room: Room,
  record: ContainerRecord,
  client: StdioClient,
  options: AttachOptions,
): Promise<AttachSession> {
  if (record.state.kind === "running" && record.state.paused) {
    throw new NaruError(
      "conflict",
      `container ${record.id} is paused, unpause the container before attach`,
    );
  }
  if (record.state.kind === "restarting") {
    throw new NaruError(
      "conflict",
      `container ${record.id} is restarting, wait until the container is running`,
    );
  }
  publish(room, record, "attach");
  // Output that comes during the replay waits for it; the hub keeps such a client on the spool.
  const untilNs = room.options.clock.nowNs();
  const replayed = options.logs ? replay(room, record, client, untilNs) : undefined;
  const attachment = new Attachment(client, {
    tty: record.config.Tty,
    stdin: options.stdin && record.config.OpenStdin,
    closesStdin: record.config.StdinOnce && !record.config.Tty,
    replayed,
  });
  replayed?.catch(() => attachment.detach());
  // The hub of a run that has just ended has nothing more to give: such a client waits for the next.
  const hub = record.state.kind === "running" ? room.live.get(record.id)?.hub : undefined;
  if (options.stream) connect(room, record, attachment, hub);
  else attachment.abandoned();
  return attachment;
}

function connect(
  room: Room,
  record: ContainerRecord,
  attachment: Attachment,
  hub: StdioHub | undefined,
): void {
  if (hub !== undefined) {
    attachment.connected(hub);
    return;
  }
  if (room.table.get(record.id) === undefined) {
    attachment.abandoned();
    return;
  }
  const waiting = room.pending.get(record.id) ?? new Set<PendingAttachment>();
  waiting.add(attachment);
  room.pending.set(record.id, waiting);
  attachment.onDetach = () => waiting.delete(attachment);
}

async function replay(
  room: Room,
  record: ContainerRecord,
  client: StdioClient,
  untilNs: bigint,
): Promise<void> {
  if (record.hostConfig.LogConfig.Type === "none" || (!client.stdout && !client.stderr)) return;
  const entries = await readLogs(room, record, {
    stdout: client.stdout,
    stderr: client.stderr,
    follow: false,
    sinceNs: undefined,
    untilNs,
    tailLines: undefined,
    signal: new AbortController().signal,
  });
  for await (const entry of entries) await client.write(entry.stream, entry.bytes);
}

/** One client on its way from waiting to connected to ended. */
class Attachment implements AttachSession, PendingAttachment {
  readonly tty: boolean;
  readonly stdin: AttachSession["stdin"];
  readonly done: Promise<void>;
  onDetach: () => void = () => undefined;
  readonly #client: StdioClient;
  readonly #replayed: Promise<void> | undefined;
  readonly #hub: PromiseWithResolvers<StdioHub | undefined> = Promise.withResolvers();
  readonly #done: PromiseWithResolvers<void> = Promise.withResolvers();
  #leaveHub: (() => void) | undefined;
  #ended = false;

  constructor(
    client: StdioClient,
    about: {
      readonly tty: boolean;
      readonly stdin: boolean;
      readonly closesStdin: boolean;
      readonly replayed: Promise<void> | undefined;
    },
  ) {
    this.#client = client;
    this.#replayed = about.replayed;
    this.tty = about.tty;
    this.done = this.#done.promise;
    this.stdin = about.stdin ? this.#stdin(about.closesStdin) : undefined;
  }

  connected(hub: StdioHub): void {
    if (this.#ended) return;
    this.#leaveHub = hub.attach({
      stdout: this.#client.stdout,
      stderr: this.#client.stderr,
      write: async (stream, bytes) => {
        await this.#replayed;
        await this.#client.write(stream, bytes);
      },
      end: () => this.abandoned(),
    });
    this.#hub.resolve(hub);
  }

  /** No output will come any more. */
  abandoned(): void {
    if (this.#ended) return;
    this.#ended = true;
    const finish = (): void => {
      this.#client.end();
      this.#settle();
    };
    if (this.#replayed === undefined) finish();
    else void this.#replayed.then(finish, finish);
  }

  detach(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onDetach();
    this.#leaveHub?.();
    this.#settle();
  }

  #settle(): void {
    this.#hub.resolve(undefined);
    this.#done.resolve();
  }

  #stdin(closesStdin: boolean): NonNullable<AttachSession["stdin"]> {
    const { promise } = this.#hub;
    return {
      // Before the start this waits, and so does the client: nothing is kept in memory for it.
      write: async (bytes) => (await promise)?.writeStdin(bytes),
      close: () => {
        if (closesStdin) void promise.then((hub) => hub?.closeStdin());
      },
    };
  }
}
