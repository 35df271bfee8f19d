import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHttpServer } from "./http-server.ts";
import { groupIdOf, type ListenAddress, listen, SOCKET_MODE } from "./listen.ts";

const dir = mkdtempSync(join(tmpdir(), "naru-listen-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function server(text: string): ReturnType<typeof createHttpServer> {
  return createHttpServer({
    request: (_request, response) => void response.end(text),
    wantsConnection: () => false,
    connection: ({ socket }) => void socket.destroy(),
  });
}

function unix(name: string): ListenAddress {
  return { kind: "unix", path: join(dir, name), mode: SOCKET_MODE, groupId: undefined };
}

function ask(name: string): Promise<string> {
  return fetch("http://x/", { unix: join(dir, name) }).then((answer) => answer.text());
}

test("a socket has its mode, answers, and is gone after close", async () => {
  const one = await listen(server("one"), unix("a"));
  expect(statSync(join(dir, "a")).mode & 0o777).toBe(0o660);
  expect(await ask("a")).toBe("one");
  one.close();
  expect(readdirSync(dir)).not.toContain("a");
});

test("a live socket is not taken over", async () => {
  const one = await listen(server("one"), unix("b"));
  expect(listen(server("two"), unix("b"))).rejects.toThrow("another process is listening on");
  expect(await ask("b")).toBe("one");
  one.close();
});

test("a stale socket file is replaced, another file is not", async () => {
  const script = `const n = require("node:net"); n.createServer().listen(process.argv[1], () => process.kill(process.pid, 9));`;
  Bun.spawnSync([process.execPath, "-e", script, join(dir, "c")]);
  expect(readdirSync(dir)).toContain("c");
  const one = await listen(server("new"), unix("c"));
  expect(await ask("c")).toBe("new");
  one.close();
  writeFileSync(join(dir, "file"), "precious");
  expect(listen(server("x"), unix("file"))).rejects.toThrow("exists and is not a socket");
  expect(listen(server("x"), unix("x".repeat(120)))).rejects.toThrow("longer than 107 bytes");
});

test("tcp says its port; a taken one is refused", async () => {
  const one = await listen(server("tcp"), { kind: "tcp", host: "127.0.0.1", port: 0 });
  expect(await fetch(`http://127.0.0.1:${one.port}/`).then((answer) => answer.text())).toBe("tcp");
  const again: ListenAddress = { kind: "tcp", host: "127.0.0.1", port: one.port ?? 0 };
  expect(listen(server("x"), again)).rejects.toThrow("cannot listen on tcp://127.0.0.1");
  one.close();
});

test("groups by name and number", () => {
  expect([groupIdOf("root"), groupIdOf("77"), groupIdOf("no-such-group")]).toEqual([
    0,
    77,
    undefined,
  ]);
});
