/** Bytes sent as a request's body: all at once, or as they come. */
export type RequestBody = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface WireRequest {
  readonly method: string;
  /** Path and query, already encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WireResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** To be read to its end or cancelled by `close`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Stops reading: the connection is closed when the body has not ended. Idempotent. */
  close(): void;
}

/** A connection that is no longer HTTP: attach and exec. */
export interface HijackedStream {
  /** `application/vnd.docker.multiplexed-stream`, `…raw-stream`, or "" from old engines. */
  readonly contentType: string;
  /** The next bytes, or null at the end. */
  read(): Promise<Uint8Array | null>;
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: stdin ends, output goes on. */
  closeWrite(): void;
  close(): void;
}

export type UpgradeResult =
  | { readonly upgraded: true; readonly stream: HijackedStream }
  | { readonly upgraded: false; readonly response: WireResponse };

/** How requests reach an engine: over a socket, or through a browser's fetch. */
export interface Wire {
  send(request: WireRequest): Promise<WireResponse>;
  /** Throws unsupported where the wire cannot hijack. */
  upgrade(request: WireRequest): Promise<UpgradeResult>;
  close(): void;
}
