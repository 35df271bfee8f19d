import { expect, test } from "bun:test";
import { silentLogger } from "../observe/mod.ts";
import type { OutputStream } from "./contract.ts";
import { CLIENT_BUFFER_BYTES_MAX, HubClient } from "./hub-client.ts";

function setUp(options: { stderr?: boolean; fails?: boolean } = {}) {
  const received = { stdout: 0, stderr: 0 };
  const seen: string[] = [];
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const ended = Promise.withResolvers<void>();
  let left = 0;
  const client = new HubClient(
    {
      stdout: true,
      stderr: options.stderr ?? true,
      write: async (_, bytes) => {
        await gate;
        if (options.fails === true) throw new Error("gone");
        seen.push(Buffer.from(bytes).toString());
      },
      end: () => ended.resolve(),
    },
    {
      received: () => received,
      spool: undefined,
      logger: silentLogger,
      moved: () => undefined,
      left: () => {
        left += 1;
      },
    },
  );
  const push = (stream: OutputStream, text: string): void => {
    received[stream] += text.length;
    client.push(stream, Buffer.from(text));
  };
  return { client, push, seen, open, ended: ended.promise, left: () => left };
}

test("all output in order, then the end, once", async () => {
  const { client, push, seen, open, ended, left } = setUp();
  push("stdout", "a");
  push("stderr", "b");
  push("stdout", "c");
  client.finish();
  expect(client.lagBytes).toBe(3);
  open();
  await ended;
  client.detach();
  expect([seen, client.lagBytes, left()]).toEqual([["a", "b", "c"], 0, 1]);
});

test("a stream that is not wanted is passed over and does not count as lag", async () => {
  const { client, push, seen, open, ended } = setUp({ stderr: false });
  push("stderr", "b");
  push("stdout", "a");
  client.finish();
  open();
  await ended;
  expect([seen, client.lagBytes]).toEqual([["a"], 0]);
});

test("without a log nothing is dropped: the lag shows, and the hub makes the container wait", async () => {
  const { client, push, seen, open, ended } = setUp();
  const block = "x".repeat(CLIENT_BUFFER_BYTES_MAX);
  for (let count = 0; count < 4; count += 1) push("stdout", block);
  expect(client.spooling).toBe(false);
  expect(client.lagBytes).toBe(4 * CLIENT_BUFFER_BYTES_MAX);
  client.finish();
  open();
  await ended;
  expect(seen.join("").length).toBe(4 * CLIENT_BUFFER_BYTES_MAX);
});

test("a client whose write fails is detached", async () => {
  const { push, open, ended, left } = setUp({ fails: true });
  push("stdout", "a");
  open();
  await ended;
  expect(left()).toBe(1);
});
