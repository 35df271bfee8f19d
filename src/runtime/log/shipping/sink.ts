import { randomBytes } from "node:crypto";
import { type Clock, errorCode } from "../../../base/mod.ts";
import type { Logger } from "../../../observe/mod.ts";
import { fluentdAck, fluentdBatch } from "./fluentd-format.ts";
import { compressGelf, gelfDatagrams, gelfMessage } from "./gelf-format.ts";
import { journaldMessage } from "./journald-format.ts";
import type { ShipMessage } from "./message.ts";
import type { FluentdTarget, GelfTarget, LogOrigin, ShippingPlan, SyslogTarget } from "./plan.ts";
import { syslogMessage } from "./syslog-format.ts";
import {
  type DatagramWire,
  openStream,
  openUdp,
  openUnixDatagram,
  type StreamWire,
} from "./wire.ts";

/** One peer. A failure leaves it ready to be tried again. */
export interface LogSink {
  /** Resolves when the peer has all of them. `taken` counts those that it surely has, on failure too. */
  send(messages: readonly ShipMessage[], taken: (count: number) => void): Promise<void>;
  /** Ends what waits. */
  close(): void;
}

export interface SinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

export function openSink(plan: ShippingPlan, options: SinkOptions): LogSink {
  const { target, origin } = plan;
  switch (target.kind) {
    case "syslog":
      return syslogSink(target, origin, options);
    case "journald":
      return new DatagramSink(
        () => openUnixDatagram(target.path),
        (message) => Promise.resolve([journaldMessage(message, origin)]),
        options.logger,
      );
    case "fluentd":
      return new FluentdSink(target, origin, options.clock);
    case "gelf":
      return gelfSink(target, origin, options);
  }
}

function syslogSink(target: SyslogTarget, origin: LogOrigin, options: SinkOptions): LogSink {
  const { hostname, tag } = origin;
  const header = { facility: target.facility, hostname, tag, pid: process.pid };
  const encode = (message: ShipMessage): Buffer => syslogMessage(message, header, target);
  const { address } = target;
  if (address.transport === "udp" || address.transport === "unixgram") {
    return new DatagramSink(
      () => (address.transport === "udp" ? openUdp(address) : openUnixDatagram(address.path)),
      (message) => Promise.resolve([encode(message)]),
      options.logger,
    );
  }
  return new StreamSink(() => openStream(address, target.tls), encode);
}

const NUL: Buffer = Buffer.from([0]);

function gelfSink(target: GelfTarget, origin: LogOrigin, options: SinkOptions): LogSink {
  const { address } = target;
  if (address.transport !== "udp") {
    return new StreamSink(
      () => openStream(address, undefined),
      (message) => Buffer.concat([gelfMessage(message, origin), NUL]),
    );
  }
  return new DatagramSink(
    () => openUdp(address),
    async (message) => gelfDatagrams(await compressGelf(gelfMessage(message, origin), target)),
    options.logger,
  );
}

/** Messages one by one; one that is too large for its transport is left out, with a warning. */
class DatagramSink implements LogSink {
  readonly #open: () => DatagramWire;
  readonly #encode: (message: ShipMessage) => Promise<readonly Buffer[] | undefined>;
  readonly #logger: Logger;
  #wire: DatagramWire | undefined;

  constructor(
    open: () => DatagramWire,
    encode: (message: ShipMessage) => Promise<readonly Buffer[] | undefined>,
    logger: Logger,
  ) {
    this.#open = open;
    this.#encode = encode;
    this.#logger = logger;
  }

  async send(messages: readonly ShipMessage[], taken: (count: number) => void): Promise<void> {
    try {
      for (const message of messages) {
        await this.#sendOne(message);
        taken(1);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #sendOne(message: ShipMessage): Promise<void> {
    const datagrams = await this.#encode(message);
    try {
      if (datagrams === undefined) throw Object.assign(new Error(), { code: "EMSGSIZE" });
      for (const datagram of datagrams) {
        this.#wire ??= this.#open();
        await this.#wire.send(datagram);
      }
    } catch (error) {
      if (errorCode(error) !== "EMSGSIZE") throw error;
      const bytes = message.line.byteLength;
      this.#logger.warn("a log line with its attributes is too large to be shipped", { bytes });
    }
  }

  close(): void {
    this.#wire?.close();
    this.#wire = undefined;
  }
}

const WRITE_BYTES = 64 * 1024;

/** Messages one after the other on a connection; taken is what the kernel has. */
class StreamSink implements LogSink {
  readonly #open: () => Promise<StreamWire>;
  readonly #encode: (message: ShipMessage) => Buffer;
  #wire: StreamWire | undefined;

  constructor(open: () => Promise<StreamWire>, encode: (message: ShipMessage) => Buffer) {
    this.#open = open;
    this.#encode = encode;
  }

  async send(messages: readonly ShipMessage[], taken: (count: number) => void): Promise<void> {
    if (this.#wire === undefined || this.#wire.broken) this.#wire = await this.#open();
    let parts: Buffer[] = [];
    let bytes = 0;
    for (const [index, message] of messages.entries()) {
      const part = this.#encode(message);
      parts.push(part);
      bytes += part.byteLength;
      if (bytes < WRITE_BYTES && index < messages.length - 1) continue;
      await this.#wire.write(Buffer.concat(parts), 0);
      taken(parts.length);
      parts = [];
      bytes = 0;
    }
  }

  close(): void {
    this.#wire?.close();
    this.#wire = undefined;
  }
}

const CHUNK_ID_BYTES = 16;

class FluentdSink implements LogSink {
  readonly #target: FluentdTarget;
  readonly #origin: LogOrigin;
  readonly #clock: Clock;
  #wire: StreamWire | undefined;
  #openedMs = 0;

  constructor(target: FluentdTarget, origin: LogOrigin, clock: Clock) {
    this.#target = target;
    this.#origin = origin;
    this.#clock = clock;
  }

  async send(messages: readonly ShipMessage[], taken: (count: number) => void): Promise<void> {
    const { address, subSecond, requestAck } = this.#target;
    const { writeTimeoutMs, readTimeoutMs, reconnectIntervalMs } = this.#target;
    const ageMs = this.#clock.nowMs() - this.#openedMs;
    if (reconnectIntervalMs > 0 && ageMs >= reconnectIntervalMs) this.close();
    if (this.#wire === undefined || this.#wire.broken) {
      this.#wire = await openStream(address, undefined);
      this.#openedMs = this.#clock.nowMs();
    }
    const chunkId = requestAck ? randomBytes(CHUNK_ID_BYTES).toString("base64") : undefined;
    const batch = fluentdBatch(messages, this.#origin, { subSecond, chunkId });
    await this.#wire.write(batch, writeTimeoutMs);
    if (chunkId !== undefined) await this.#wire.expect(fluentdAck(chunkId), readTimeoutMs);
    taken(messages.length);
  }

  close(): void {
    this.#wire?.close();
    this.#wire = undefined;
  }
}
