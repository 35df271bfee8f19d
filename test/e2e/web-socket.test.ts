/** Attaching over a web socket, by a client that others wrote: Bun's own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type OpenedSocket, openSocket } from "../conformance/engine.ts";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 30_000;
const ALL = "stream=1&stdin=1&stdout=1&stderr=1";

let engine: OpenedSocket;

interface Ended {
  readonly code: number;
  readonly output: string;
}

/** A client that has attached; `send` what it types. */
class Attached {
  readonly socket: WebSocket;
  readonly opened: Promise<void>;
  readonly ended: Promise<Ended>;
  readonly #chunks: Buffer[] = [];

  constructor(container: string, query: string) {
    const path = `/v1.44/containers/${container}/attach/ws?${query}`;
    this.socket = new WebSocket(`ws+unix://${engine.socketPath}:${path}`);
    this.socket.binaryType = "nodebuffer";
    this.socket.addEventListener("message", ({ data }) => {
      this.#chunks.push(data as unknown as Buffer);
    });
    const opened = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<Ended>();
    this.socket.addEventListener("open", () => opened.resolve());
    this.socket.addEventListener("close", ({ code }) => {
      opened.reject(new Error(`closed: ${code}`));
      ended.resolve({ code, output: this.output() });
    });
    this.opened = opened.promise;
    this.ended = ended.promise;
    this.opened.catch(() => undefined);
  }

  output(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  async until(text: string): Promise<void> {
    for (let tries = 0; tries < 200; tries += 1) {
      if (this.output().includes(text)) return;
      await Bun.sleep(20);
    }
    throw new Error(`${text} never came: ${this.output()}`);
  }
}

async function shown(...args: string[]): Promise<string> {
  return (await cliOk(engine, args)).trim();
}

async function handshake(path: string, headers: Record<string, string>): Promise<Response> {
  return await fetch(`http://engine/v1.44${path}`, { unix: engine.socketPath, headers });
}

describe.skipIf(!privileged())("attach over a web socket", () => {
  beforeAll(async () => {
    engine = await openSocket();
    await shown("load", "-i", (await busyboxFiles()).dockerArchive);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    for (const name of ["lines", "typed", "flood"]) await cli(engine, ["rm", "-f", name]);
    await engine?.close();
  }, TEST_TIMEOUT_MS);

  test(
    "what is typed goes in, both outputs come out, the end closes",
    async () => {
      await shown(
        "create",
        "-i",
        "--name",
        "lines",
        "busybox",
        "sh",
        "-c",
        "read a; echo got $a; echo bad >&2; exit 3",
      );
      const client = new Attached("lines", ALL);
      await client.opened;
      await shown("start", "lines");
      client.socket.send("hello\n");
      const { code, output } = await client.ended;
      expect(code).toBe(1000);
      expect(output.split("\n").sort()).toEqual(["", "bad", "got hello"]);
      expect(await shown("wait", "lines")).toBe("3");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a terminal is left by its keys, and by closing, and goes on",
    async () => {
      await shown("run", "-dit", "--name", "typed", "busybox", "sh");
      const first = new Attached("typed", ALL);
      await first.opened;
      first.socket.send("echo 4$((1+1))\n");
      await first.until("42");
      first.socket.send(Buffer.from([16, 17])); // ctrl-p ctrl-q
      expect((await first.ended).code).toBe(1000);
      const second = new Attached("typed", ALL);
      await second.opened;
      second.socket.close();
      await second.ended;
      expect(await shown("inspect", "-f", "{{.State.Status}}", "typed")).toBe("running");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a lot of output is whole",
    async () => {
      await shown(
        "create",
        "--name",
        "flood",
        "busybox",
        "sh",
        "-c",
        "yes 0123456789 | head -c 20000000",
      );
      const client = new Attached("flood", "stream=1&stdout=1");
      await client.opened;
      await shown("start", "flood");
      const { output } = await client.ended;
      expect(output.length).toBe(20_000_000);
      expect(output.replaceAll("0123456789\n", "")).toBe("0123456789\n".slice(0, 20_000_000 % 11));
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "what is no handshake, and what is not there, is said so",
    async () => {
      const plain = await handshake("/containers/typed/attach/ws", {});
      expect(plain.status).toBe(400);
      expect(await plain.text()).toContain("Upgrade: websocket");
      const key = "dGhlIHNhbXBsZSBub25jZQ==";
      const headers = { "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13" };
      const upgrade = { Connection: "Upgrade", Upgrade: "websocket" };
      const missing = await handshake("/containers/none/attach/ws", { ...headers, ...upgrade });
      expect(missing.status).toBe(404);
      expect(await missing.json()).toEqual({ message: "No such container: none" });
    },
    TEST_TIMEOUT_MS,
  );
});
