/** Where a peer listens. `unixgram` and `udp` keep message borders; the others are streams. */
export type LogAddress =
  | ({ readonly transport: "tcp" } & HostPort)
  | ({ readonly transport: "tls" } & HostPort)
  | ({ readonly transport: "udp" } & HostPort)
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "unixgram"; readonly path: string };

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Paths of PEM files; "" for none. */
export interface LogTls {
  readonly caPath: string;
  readonly certPath: string;
  readonly keyPath: string;
  readonly skipVerify: boolean;
}

export type SyslogFormat = "local" | "rfc3164" | "rfc5424" | "rfc5424micro";

export interface SyslogTarget {
  readonly kind: "syslog";
  readonly address: LogAddress;
  /** The number without its shift: 3 for daemon. */
  readonly facility: number;
  readonly format: SyslogFormat;
  readonly tls: LogTls;
}

export interface JournaldTarget {
  readonly kind: "journald";
  readonly path: string;
}

export interface FluentdTarget {
  readonly kind: "fluentd";
  readonly address: LogAddress;
  readonly subSecond: boolean;
  readonly requestAck: boolean;
  /** 0: no limit. */
  readonly writeTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** A connection is made anew after this time; 0: never. */
  readonly reconnectIntervalMs: number;
}

export interface GelfTarget {
  readonly kind: "gelf";
  readonly address: LogAddress;
  readonly compression: "gzip" | "zlib" | "none";
  /** -1 to 9, as zlib takes it. */
  readonly level: number;
}

export type LogTarget = SyslogTarget | JournaldTarget | FluentdTarget | GelfTarget;

/** What a shipped line says of its container. */
export interface LogOrigin {
  readonly containerId: string;
  /** Without slash. */
  readonly containerName: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly command: string;
  readonly createdNs: string;
  readonly hostname: string;
  readonly tag: string;
  /** From labels and env. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** How one container's log is shipped. Plain data: a removal's durable work carries it. */
export interface ShippingPlan {
  readonly target: LogTarget;
  readonly origin: LogOrigin;
  /** Bytes of lines that are sent at once, and held in memory until they are taken. */
  readonly batchBytesMax: number;
  /** Before the second try; grows from there. */
  readonly retryWaitMs: number;
  /** A batch is given up after this many tries; null: never. */
  readonly triesMax: number | null;
  /**
   * The peer takes too little. True: log files are kept up to the budget, then the container waits.
   * False: at most this much is kept, and the oldest lines are dropped.
   */
  readonly blocking: boolean;
  readonly bufferBytesMax: number;
}
