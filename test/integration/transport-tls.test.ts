/** TLS with and without client certificates, plain answers and hijacked streams over it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { createHttpServer, type Listener, listen } from "../../src/transport/mod.ts";

const dir = mkdtempSync(join(tmpdir(), "naru-tls-"));
const listeners: Listener[] = [];
const servers: Server[] = [];
let cert = "";
let key = "";

beforeAll(() => {
  const flags = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  const files = ["-keyout", join(dir, "k"), "-out", join(dir, "c")];
  const names = ["-addext", "subjectAltName=IP:127.0.0.1"];
  const made = Bun.spawnSync(["openssl", "req", "-x509", ...flags, ...files, ...names]);
  if (!made.success) throw new Error(`openssl failed: ${made.stderr.toString()}`);
  cert = readFileSync(join(dir, "c"), "utf8");
  key = readFileSync(join(dir, "k"), "utf8");
});
afterAll(() => {
  for (const listener of listeners) listener.close();
  for (const server of servers) server.closeAllConnections();
  rmSync(dir, { recursive: true, force: true });
});

async function serve(ca: string | undefined): Promise<number> {
  const server = createHttpServer(
    {
      wantsConnection: (request) => request.url === "/raw",
      request: (_request, response) => void response.end("plain"),
      connection: ({ socket }) => {
        socket.write("HTTP/1.1 101 UPGRADED\r\n\r\n");
        socket.on("data", (bytes) => void socket.write(`echo ${bytes.toString()}`));
        socket.on("end", () => socket.end(" end"));
      },
    },
    { cert, key, ca },
  );
  const listener = await listen(server, { kind: "tcp", host: "127.0.0.1", port: 0 });
  listeners.push(listener);
  servers.push(server);
  return listener.port ?? 0;
}

/** Sends `head`, then `later` when the answer's head is there, then ends its side. */
function talk(
  port: number,
  head: string,
  later: string,
  own: { cert?: string; key?: string },
): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      ca: cert,
      allowHalfOpen: true,
      ...own,
    } as Parameters<typeof connect>[0]);
    let got = "";
    let answered = false;
    socket.on("data", (bytes) => {
      got += bytes.toString();
      if (answered || !got.includes("\r\n\r\n")) return;
      answered = true;
      socket.end(later);
    });
    const done = (): void => {
      socket.destroy();
      resolve(got);
    };
    socket.on("error", (error) => {
      got += `error: ${error.message}`;
      done();
    });
    socket.on("end", done);
    socket.write(head);
  });
}

const PLAIN = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const RAW = "POST /raw HTTP/1.1\r\nHost: x\r\n";

test("without verification anybody who trusts the certificate is answered", async () => {
  expect(await talk(await serve(undefined), PLAIN, "", {})).toEndWith("plain");
});

test("with verification a client without certificate is turned away", async () => {
  const port = await serve(cert);
  expect(await talk(port, PLAIN, "", {})).toMatch(/error: .*CERTIFICATE_REQUIRED/);
  expect(await talk(port, PLAIN, "", { cert, key })).toEndWith("plain");
});

test.each([
  ["with Upgrade", "Connection: Upgrade\r\nUpgrade: tcp\r\n"],
  ["without", ""],
])("a hijacked stream %s: both directions, half-close", async (_name, headers) => {
  expect(await talk(await serve(cert), `${RAW}${headers}\r\n`, "abc", { cert, key })).toEndWith(
    "echo abc end",
  );
});
