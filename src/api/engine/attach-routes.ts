import { isNaruError } from "../../base/mod.ts";
import { decodeExecStart } from "../../spec/mod.ts";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "../../transport/mod.ts";
import { readJsonBody } from "./call.ts";
import { streamErrorText } from "./errors.ts";
import { type EngineRoute, type HijackHandler, hijack } from "./handler.ts";
import { StdioBridge } from "./stdio-bridge.ts";

const NO_KEYS = new Uint8Array(0);

const attach: HijackHandler = async (call, { containers }) => {
  const { query, param: ref } = call;
  const tty = containers.isTty(ref);
  const keysText = query.text("detachKeys");
  const keys = parseDetachKeys(keysText === "" ? DEFAULT_DETACH_KEYS : keysText);
  const bridge = new StdioBridge(call, {
    tty,
    stdout: query.flag("stdout"),
    stderr: query.flag("stderr"),
  });
  const session = await containers.attach(ref, bridge, {
    stdin: query.flag("stdin"),
    stdout: bridge.stdout,
    stderr: bridge.stderr,
    logs: query.flag("logs"),
    stream: query.flag("stream"),
  });
  try {
    await bridge.start();
    bridge.connectStdin(session.stdin, session.tty && session.stdin ? keys : NO_KEYS, () => {
      session.detach();
      bridge.end();
    });
    await session.done;
    bridge.end();
  } catch (error) {
    session.detach();
    throw error;
  }
};

const execStart: HijackHandler = async (call, { containers }) => {
  const execId = call.param;
  const body = decodeExecStart(await readJsonBody(call.request));
  const info = containers.execInfo(execId);
  const options = {
    detach: body.Detach,
    tty: body.Tty ?? undefined,
    consoleSize: body.ConsoleSize ?? undefined,
  };
  if (body.Detach) {
    await containers.execStart(execId, options, undefined);
    call.answer.complete(200, undefined, "");
    return;
  }
  const keys = parseDetachKeys(info.detachKeys === "" ? DEFAULT_DETACH_KEYS : info.detachKeys);
  const bridge = new StdioBridge(call, { tty: info.tty, stdout: true, stderr: true });
  let session: Awaited<ReturnType<typeof containers.execStart>>;
  try {
    // The head goes long before the first output, as Docker's does: docker-py reads it through a
    // buffer of its own and loses whatever comes in the same packet.
    const onAccepted = (): void => void bridge.start().catch(() => undefined);
    session = await containers.execStart(execId, { ...options, onAccepted }, bridge);
  } catch (error) {
    // Clients take a failure of the command from the stream, and one of the request from the status.
    const ofRequest = isNaruError(error, "not_found") || isNaruError(error, "conflict");
    if (ofRequest && !call.answer.started) throw error;
    await bridge.write("stdout", Buffer.from(`${streamErrorText(error, call.requestId)}\r\n`));
    bridge.end();
    return;
  }
  await bridge.start();
  const { stdio } = session;
  const sink =
    info.attachStdin && stdio !== undefined
      ? { write: (bytes: Uint8Array) => stdio.writeStdin(bytes), close: () => stdio.closeStdin() }
      : undefined;
  bridge.connectStdin(sink, info.tty && sink !== undefined ? keys : NO_KEYS, () => {
    session.detach();
    bridge.end();
  });
  await session.done;
  bridge.end();
};

export const ATTACH_ROUTES: readonly EngineRoute[] = [
  hijack("POST /containers/{id}/attach", attach),
  hijack("POST /exec/{id}/start", execStart),
];
