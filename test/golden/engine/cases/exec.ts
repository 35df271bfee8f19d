/** The four exec operations. */
import {
  type CallStep,
  type Case,
  created,
  exited,
  IDLE,
  running,
  SHAPE_VERSIONS,
  type Step,
  sh,
} from "../case.ts";

function execCreate(config: Readonly<Record<string, unknown>>): CallStep {
  return { call: "POST /containers/{c}/exec", body: config, save: { e: "Id" }, quiet: true };
}

function execStart(
  options: { upgrade?: boolean; form?: "frames" | "text"; body?: unknown } = {},
): Step {
  return {
    call: "POST /exec/{e}/start",
    body: options.body ?? {},
    hold: "x",
    form: options.form ?? "frames",
    allHeaders: true,
    ...(options.upgrade ? { upgrade: true } : {}),
  };
}

const INSPECT: Step = { call: "GET /exec/{e}/json" };
const EXIT_CODE: Step = { call: "GET /exec/{e}/json", pick: ["ExitCode", "Running"] };
const BOTH: readonly string[] = sh("echo out; sleep 0.6; echo err >&2; exit 3");

export const EXEC_CASES: readonly Case[] = [
  {
    name: "exec-create",
    steps: [
      ...running({ Cmd: IDLE }),
      {
        call: "POST /containers/{c}/exec",
        body: { Cmd: ["true"] },
        allHeaders: true,
        save: { e: "Id" },
      },
      { call: "POST /containers/{c}/exec", body: {} },
      { call: "POST /containers/{c}/exec", body: { Cmd: [] } },
      { call: "POST /containers/{c}/exec" },
      { call: "POST /containers/{c}/exec", body: "{" },
      { call: "POST /containers/{c}/exec", body: { Cmd: "true" } },
      { call: "POST /containers/{c}/exec", body: { Cmd: 1 } },
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"], Env: ["=x"] } },
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"], User: "nosuch" } },
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"], DetachKeys: "nonsense" } },
      {
        call: "POST /containers/{c}/exec",
        body: '{"Cmd":["true"]}',
        headers: { "Content-Type": "text/plain" },
      },
    ],
  },
  {
    name: "exec-create-not-running",
    steps: [
      ...created({ Cmd: IDLE }, "never"),
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"] } },
      ...exited({ Cmd: ["true"] }, "done"),
      { call: "POST /containers/{c}/exec", body: { Cmd: ["true"] } },
      { call: "POST /containers/done/exec", body: { Cmd: ["true"] } },
    ],
  },
  {
    name: "exec-life",
    api: SHAPE_VERSIONS,
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: BOTH, AttachStdout: true, AttachStderr: true }),
      INSPECT,
      execStart({ upgrade: true }),
      { expect: "x", text: "out" },
      { sleepMs: 200 }, // the pid is known a moment after the first output
      INSPECT,
      { finish: "x" },
      INSPECT,
      { call: "POST /exec/{e}/start", body: {} },
      { call: "GET /containers/{c}/json", pick: ["ExecIDs"] },
    ],
  },
  {
    name: "exec-no-upgrade",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: BOTH, AttachStdout: true, AttachStderr: true }),
      execStart(),
      { finish: "x" },
      EXIT_CODE,
    ],
  },
  {
    name: "exec-tty",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({
        Cmd: sh("read x; echo got $x; exit 2"),
        Tty: true,
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      }),
      execStart({ upgrade: true, form: "text", body: { Tty: true } }),
      { write: "x", text: "hi\n" },
      { finish: "x" },
      INSPECT,
    ],
  },
  {
    name: "exec-stdin",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({
        Cmd: sh("cat; echo after"),
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      }),
      execStart({ upgrade: true }),
      { write: "x", text: "piped\n" },
      { halfClose: "x" },
      { finish: "x" },
      EXIT_CODE,
    ],
  },
  {
    name: "exec-detached",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: sh("exit 9") }),
      { call: "POST /exec/{e}/start", body: { Detach: true }, allHeaders: true },
      { sleepMs: 400 },
      INSPECT,
      execCreate({ Cmd: ["nosuchcommand"] }),
      { call: "POST /exec/{e}/start", body: { Detach: true } },
      { sleepMs: 300 },
      EXIT_CODE,
    ],
  },
  {
    name: "exec-not-found",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: ["nosuchcommand"], AttachStdout: true, AttachStderr: true }),
      execStart({ upgrade: true, form: "text" }),
      { finish: "x" },
      EXIT_CODE,
      execCreate({ Cmd: ["/bin/notexec"], AttachStdout: true, AttachStderr: true }),
      execStart({ upgrade: true, form: "text" }),
      { finish: "x" },
      EXIT_CODE,
      execCreate({ Cmd: ["true"], User: "nosuch", AttachStdout: true, AttachStderr: true }),
      execStart({ upgrade: true, form: "text" }),
      { finish: "x" },
      EXIT_CODE,
      execCreate({ Cmd: ["true"], WorkingDir: "/nosuch", AttachStdout: true, AttachStderr: true }),
      execStart({ upgrade: true, form: "text" }),
      { finish: "x" },
      EXIT_CODE,
    ],
  },
  {
    name: "exec-start-refused",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: ["true"] }),
      { call: "POST /exec/{e}/start", body: "{" },
      { call: "POST /exec/{e}/start", body: { Detach: "yes" } },
      { call: "POST /exec/{e}/start", body: "{}", headers: { "Content-Type": "text/plain" } },
      { call: "POST /exec/{e}/start" },
      { call: "POST /containers/{c}/stop?t=5", quiet: true },
      { call: "POST /exec/{e}/start", body: {} },
      { call: "GET /exec/{e}/json" },
    ],
  },
  {
    name: "exec-resize",
    steps: [
      ...running({ Cmd: IDLE }),
      execCreate({ Cmd: ["sleep", "1"], Tty: true, AttachStdout: true }),
      { call: "POST /exec/{e}/resize?h=x&w=1" },
      execStart({ upgrade: true, form: "text", body: { Tty: true } }),
      { sleepMs: 200 },
      { call: "POST /exec/{e}/resize?h=20&w=40" },
      { call: "POST /exec/{e}/resize" },
      { finish: "x" },
    ],
  },
  {
    name: "exec-env-user-workdir",
    steps: [
      ...running({ Cmd: IDLE, Env: ["A=1"] }),
      execCreate({
        Cmd: sh("echo $A $B; id; pwd"),
        Env: ["B=2"],
        User: "worker",
        WorkingDir: "/srv",
        AttachStdout: true,
      }),
      execStart({ upgrade: true }),
      { finish: "x" },
      INSPECT,
    ],
  },
];
