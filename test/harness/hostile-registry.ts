import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { BlobDescriptor, MadeImage } from "./registry-image.ts";

export type HostileAnswer = (answer: ServerResponse, request: IncomingMessage) => void;

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A registry that answers what it is told to, however wrong. */
export class HostileRegistry {
  readonly requests: SeenRequest[] = [];
  /** Of all answers' bodies that were endless, as far as the client took them. */
  endlessBytes = 0;
  readonly #server: ReturnType<typeof createServer>;
  readonly #address: string;
  #routes: { readonly path: RegExp; readonly answer: HostileAnswer }[] = [];
  #port = 0;

  constructor(address: string) {
    this.#address = address;
    this.#server = createServer((request, answer) => {
      const { method = "", url = "", headers } = request;
      this.requests.push({ method, path: url, headers });
      answer.on("error", () => undefined);
      const found = this.#routes.find(({ path }) => path.test(url));
      if (found !== undefined) found.answer(answer, request);
      else answer.writeHead(url === "/v2/" ? 200 : 404).end();
    });
    this.#server.on("connection", (socket) => socket.on("error", () => undefined));
  }

  get host(): string {
    return `${this.#address}:${this.#port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, this.#address, resolve));
    const address = this.#server.address();
    this.#port = typeof address === "object" && address !== null ? address.port : 0;
  }

  /** The latest route that matches counts. */
  on(path: RegExp, answer: HostileAnswer): void {
    this.#routes.unshift({ path, answer });
  }

  /** A good image, at any tag and by its digests, to be spoilt by other routes. */
  serve(image: MadeImage): void {
    this.on(/\/manifests\//, sends(image.manifest, { "content-type": image.mediaType }));
    for (const [digest, bytes] of image.blobs) this.on(new RegExp(digest), sends(bytes));
  }

  /** Forgets routes and requests. */
  clear(): void {
    this.#routes = [];
    this.requests.length = 0;
    this.endlessBytes = 0;
  }

  /** Sends until the client hangs up, or 1 GiB is out. */
  endless(headers: Readonly<Record<string, string>> = {}): HostileAnswer {
    return (answer) => {
      answer.writeHead(200, headers);
      const chunk = Buffer.alloc(64 * 1024, 0x20);
      let closed = false;
      answer.on("close", () => {
        closed = true;
      });
      const push = (): void => {
        while (!closed && !answer.destroyed && this.endlessBytes < 2 ** 30) {
          this.endlessBytes += chunk.length;
          if (!answer.write(chunk)) {
            answer.once("drain", push);
            return;
          }
        }
        if (!closed) answer.end();
      };
      push();
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

export async function startHostileRegistry(
  address: string = "127.0.0.1",
): Promise<HostileRegistry> {
  const registry = new HostileRegistry(address);
  await registry.listen();
  return registry;
}

export function sends(
  body: Uint8Array | string,
  headers: Readonly<Record<string, string>> = {},
  status: number = 200,
): HostileAnswer {
  return (answer) => {
    answer.writeHead(status, { "content-length": `${Buffer.byteLength(body)}`, ...headers });
    answer.end(body);
  };
}

export function redirects(location: string): HostileAnswer {
  return (answer) => answer.writeHead(307, { location, "content-length": "0" }).end();
}

/** Promises all of `body`, sends `bytes` of it and hangs up. */
export function breaksOff(body: Uint8Array, bytes: number): HostileAnswer {
  return (answer) => {
    answer.writeHead(200, { "content-length": `${body.length}` });
    answer.write(body.subarray(0, bytes), () => setTimeout(() => answer.socket?.destroy(), 20));
  };
}

export function firstLayer(image: MadeImage): { blob: BlobDescriptor; bytes: Buffer } {
  const [blob] = image.layers;
  if (blob === undefined) throw new Error("the image has no layer");
  return { blob, bytes: Buffer.from(image.blobs.get(blob.digest) ?? []) };
}
