/** Attach and logs: handshakes, framing, ends. */
import { awaitExit, type Case, created, exited, running, type Step, sh } from "../case.ts";

const BOTH: readonly string[] = sh("echo out; sleep 0.2; echo err >&2; sleep 0.2; printf tail");
const STDIO = "stream=1&stdin=1&stdout=1&stderr=1";

function attach(
  query: string,
  hold: string,
  options: { upgrade?: boolean; form?: "frames" | "text" } = {},
): Step {
  return {
    call: `POST /containers/{c}/attach?${query}`,
    hold,
    form: options.form ?? "frames",
    allHeaders: true,
    ...(options.upgrade ? { upgrade: true } : {}),
  };
}

export const STREAM_CASES: readonly Case[] = [
  {
    name: "attach-upgrade",
    steps: [
      ...created({ Cmd: BOTH }),
      attach("stream=1&stdout=1&stderr=1", "a", { upgrade: true }),
      { call: "POST /containers/{c}/start", quiet: true },
      { finish: "a" },
    ],
  },
  {
    name: "attach-no-upgrade",
    steps: [
      ...created({ Cmd: BOTH }),
      attach("stream=1&stdout=1&stderr=1", "a"),
      { call: "POST /containers/{c}/start", quiet: true },
      { finish: "a" },
    ],
  },
  {
    name: "attach-stderr-only",
    steps: [
      ...created({ Cmd: BOTH }),
      attach("stream=1&stderr=1", "a", { upgrade: true }),
      { call: "POST /containers/{c}/start", quiet: true },
      { finish: "a" },
    ],
  },
  {
    name: "attach-tty",
    steps: [
      ...created({ Cmd: sh("read x; echo got $x"), Tty: true, OpenStdin: true, StdinOnce: true }),
      attach(STDIO, "a", { upgrade: true, form: "text" }),
      { call: "POST /containers/{c}/start", quiet: true },
      { write: "a", text: "hi\n" },
      { finish: "a" },
    ],
  },
  {
    name: "attach-tty-detach",
    steps: [
      ...running({ Cmd: ["cat"], Tty: true, OpenStdin: true }),
      attach(STDIO, "a", { upgrade: true, form: "text" }),
      { write: "a", text: "x" },
      { expect: "a", text: "x" },
      { write: "a", text: "\u0010\u0011" },
      { finish: "a" },
      attach(`${STDIO}&detachKeys=ctrl-a,q`, "b", { upgrade: true, form: "text" }),
      { write: "b", text: "y" },
      { expect: "b", text: "y" },
      { write: "b", text: "\u0001q" },
      { finish: "b" },
      { call: `POST /containers/{c}/attach?${STDIO}&detachKeys=nonsense` },
      { call: "GET /containers/{c}/json", pick: ["State.Running"] },
    ],
  },
  {
    name: "attach-stdin-once",
    steps: [
      ...created({
        Cmd: sh("cat; sleep 0.1; echo after; sleep 0.1; echo e >&2"),
        OpenStdin: true,
        StdinOnce: true,
        AttachStdin: true,
      }),
      attach(STDIO, "a", { upgrade: true }),
      { call: "POST /containers/{c}/start", quiet: true },
      { write: "a", text: "piped\n" },
      { halfClose: "a" },
      { finish: "a" },
    ],
  },
  {
    name: "attach-stdin-left-open",
    steps: [
      ...created({ Cmd: sh("cat; echo after"), OpenStdin: true }),
      attach(STDIO, "a", { upgrade: true }),
      { call: "POST /containers/{c}/start", quiet: true },
      { write: "a", text: "one\n" },
      { expect: "a", text: "one" },
      { halfClose: "a" },
      { sleepMs: 300 },
      { call: "GET /containers/{c}/json", pick: ["State.Running"] },
      { call: "POST /containers/{c}/kill", quiet: true },
      { finish: "a" },
    ],
  },
  {
    name: "attach-logs",
    steps: [
      ...exited({ Cmd: sh("echo one; sleep 0.1; echo two >&2") }),
      {
        call: "POST /containers/{c}/attach?logs=1&stdout=1&stderr=1",
        form: "frames",
        upgrade: true,
        hold: "a",
      },
      { finish: "a" },
      {
        call: "POST /containers/{c}/attach?stream=1&stdout=1&stderr=1",
        form: "frames",
        upgrade: true,
        hold: "b",
      },
      { sleepMs: 300 },
      { drop: "b" }, // it waits for a start that does not come
    ],
  },
  {
    name: "attach-paused",
    steps: [
      ...running({ Cmd: sh("sleep 60") }),
      { call: "POST /containers/{c}/pause", quiet: true },
      { call: "POST /containers/{c}/attach?stream=1&stdout=1" },
      { call: "POST /containers/{c}/attach?stream=1&stdout=1", upgrade: true },
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"] } },
      { call: "POST /containers/{c}/pause" },
      { call: "POST /containers/{c}/start" },
      { call: "POST /containers/{c}/kill" },
      { call: "POST /containers/{c}/unpause" },
      { call: "POST /containers/{c}/unpause" },
    ],
  },
  {
    name: "logs",
    api: ["1.41", "1.24"],
    steps: [
      ...exited({ Cmd: BOTH }),
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1", form: "frames", allHeaders: true },
      { call: "GET /containers/{c}/logs?stdout=1", form: "frames" },
      { call: "GET /containers/{c}/logs?stderr=1", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&timestamps=1", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&tail=1", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&tail=0", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&tail=-1", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&tail=nonsense", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&since=99999999999", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&until=1", form: "frames" },
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1&since=1.5", form: "frames" },
    ],
  },
  {
    name: "logs-refused",
    steps: [
      ...exited({ Cmd: ["true"] }),
      { call: "GET /containers/{c}/logs" },
      { call: "GET /containers/{c}/logs?stdout=0&stderr=false" },
      { call: "GET /containers/{c}/logs?stdout=1&since=nonsense" },
      { call: "GET /containers/{c}/logs?stdout=1&until=nonsense" },
      { call: "GET /containers/{c}/logs?stdout=1&since=2026-01-01T00:00:00Z" },
      ...exited({ Cmd: ["echo", "x"], HostConfig: { LogConfig: { Type: "none" } } }, "unlogged"),
      { call: "GET /containers/{c}/logs?stdout=1" },
      ...created({ Cmd: ["true"] }, "never"),
      { call: "GET /containers/{c}/logs?stdout=1", allHeaders: true },
    ],
  },
  {
    name: "logs-follow",
    steps: [
      ...running({ Cmd: sh("echo one; sleep 0.5; echo two; echo three") }),
      {
        call: "GET /containers/{c}/logs?stdout=1&stderr=1&follow=1",
        form: "frames",
        hold: "l",
        allHeaders: true,
      },
      { expect: "l", text: "one" },
      { finish: "l" },
      awaitExit,
    ],
  },
  {
    name: "logs-tty",
    api: ["1.41", "1.24"],
    steps: [
      ...exited({ Cmd: sh("echo one; echo two >&2"), Tty: true }),
      { call: "GET /containers/{c}/logs?stdout=1&stderr=1", form: "text", allHeaders: true },
      { call: "GET /containers/{c}/logs?stdout=1&timestamps=1&tail=1", form: "text" },
      { call: "GET /containers/{c}/logs?stderr=1", form: "text" },
    ],
  },
  {
    name: "logs-long-lines",
    steps: [
      ...exited({ Cmd: sh("head -c 20000 /dev/zero | tr '\\0' x; echo; echo end") }),
      { call: "GET /containers/{c}/logs?stdout=1&tail=1", form: "frames" },
    ],
  },
];
