import { isNaruError, NaruError } from "../../base/mod.ts";
import type { WaitCondition } from "../../containers/mod.ts";
import { decodeContainerCreate, decodeExecCreate, decodeFilters } from "../../spec/mod.ts";
import { parseDetachKeys } from "../../transport/mod.ts";
import { type Call, readText } from "./call.ts";
import { refuseCheckpoint } from "./checkpoint-routes.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { shapeFor } from "./shape.ts";

const LIST_FILTERS: ReadonlySet<string> = new Set(
  "ancestor before expose exited health id isolation is-task label name network publish since status volume".split(
    " ",
  ),
);
const PRUNE_FILTERS: ReadonlySet<string> = new Set(["label", "label!", "until"]);
const WAIT_CONDITION_SINCE = 1030; // older clients wait for the stop only, and get no early head

const list: PlainHandler = async (call, { containers }) => {
  const { query } = call;
  const limit = query.whole("limit") ?? 0;
  const filters = decodeFilters(query.text("filters"), LIST_FILTERS);
  const size = query.flag("size");
  const found = await containers.list({ all: query.flag("all"), limit, size, filters });
  call.json(found.map((one) => shapeFor("containerSummary", call.version, one)));
};

const create: PlainHandler = async (call, { containers }) => {
  const body = decodeContainerCreate(await call.jsonBody());
  const { query } = call;
  const made = await containers.create(body, {
    name: query.text("name"),
    platform: query.text("platform"),
  });
  call.json({ Id: made.id, Warnings: made.warnings }, 201);
};

const inspect: PlainHandler = async (call, { containers }) => {
  const found = await containers.inspect(call.param, { size: call.query.flag("size") });
  call.json(shapeFor("containerInspect", call.version, found));
};

const start: PlainHandler = async (call, { containers }) => {
  const body = await readText(call.request);
  if (body.length > 7) {
    throw new NaruError(
      "invalid_argument",
      "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    );
  }
  refuseCheckpoint(call);
  const keys = call.query.text("detachKeys");
  if (keys !== "") parseDetachKeys(keys);
  await containers.start(call.param, keys === "" ? {} : { detachKeys: keys });
  call.empty(204);
};

function stopOptions(call: Call): { signal: string; timeoutSeconds: number | undefined } {
  return { signal: call.query.text("signal"), timeoutSeconds: call.query.whole("t") };
}

const stop: PlainHandler = async (call, { containers }) => {
  await containers.stop(call.param, stopOptions(call));
  call.empty(204);
};

const restart: PlainHandler = async (call, { containers }) => {
  await containers.restart(call.param, stopOptions(call));
  call.empty(204);
};

const kill: PlainHandler = async (call, { containers }) => {
  await containers.kill(call.param, call.query.text("signal"));
  call.empty(204);
};

const pause: PlainHandler = async (call, { containers }) => {
  await containers.pause(call.param);
  call.empty(204);
};

const unpause: PlainHandler = async (call, { containers }) => {
  await containers.unpause(call.param);
  call.empty(204);
};

const rename: PlainHandler = async (call, { containers }) => {
  await containers.rename(call.param, call.query.text("name"));
  call.empty(204);
};

const remove: PlainHandler = async (call, { containers }) => {
  const { query } = call;
  if (query.flag("link")) {
    throw new NaruError(
      "unsupported",
      "link: removing a link is not supported by this version of naru",
    );
  }
  await containers.remove(call.param, { force: query.flag("force"), volumes: query.flag("v") });
  call.empty(204);
};

const prune: PlainHandler = async (call, { containers }) => {
  const { deleted, freedBytes } = await containers.prune(
    decodeFilters(call.query.text("filters"), PRUNE_FILTERS),
  );
  call.json({
    ContainersDeleted: deleted.length === 0 ? null : deleted,
    SpaceReclaimed: freedBytes,
  });
};

const resize: PlainHandler = async (call, { containers }) => {
  await containers.resize(call.param, terminalSize(call));
  call.empty(200);
};

/** Rows and columns as the kernel holds them: 16 bits, which is what Docker makes of any number. */
function terminalSize(call: Call): { rows: number; columns: number } {
  const side = (name: string): number => call.query.wholeRequired(name) & 0xffff;
  return { rows: side("h"), columns: side("w") };
}

const wait: PlainHandler = async (call, { containers }) => {
  const early = call.version >= WAIT_CONDITION_SINCE;
  const condition = early ? waitCondition(call.query.text("condition")) : "not-running";
  const { result } = await containers.wait(call.param, condition, call.signal);
  if (early) call.startStream("application/json");
  try {
    const { exitCode, error } = await result;
    const answer = {
      StatusCode: exitCode,
      ...(error === undefined ? {} : { Error: { Message: error } }),
    };
    if (early) call.response.end(`${JSON.stringify(answer)}\n`);
    else call.json(answer);
  } catch (error) {
    if (!early || !isNaruError(error) || call.signal.aborted) throw error;
    call.response.end(
      `${JSON.stringify({ StatusCode: 125, Error: { Message: error.message } })}\n`,
    );
  }
};

function waitCondition(text: string): WaitCondition {
  if (text === "") return "not-running";
  if (text === "not-running" || text === "next-exit" || text === "removed") return text;
  throw new NaruError("invalid_argument", `invalid condition: "${text.slice(0, 60)}"`);
}

const execCreate: PlainHandler = async (call, { containers }) => {
  const body = decodeExecCreate(await call.jsonBody());
  if (body.DetachKeys !== "") checkEscapeKeys(body.DetachKeys);
  call.json({ Id: await containers.execCreate(call.param, body) }, 201);
};

function checkEscapeKeys(keys: string): void {
  try {
    parseDetachKeys(keys);
  } catch (cause) {
    const message = `Invalid escape keys (${keys.slice(0, 100)}) provided`;
    throw new NaruError("invalid_argument", message, {}, { cause });
  }
}

const execResize: PlainHandler = async (call, { containers }) => {
  await containers.execResize(call.param, terminalSize(call));
  call.empty(200);
};

const execInspect: PlainHandler = (call, { containers }) => {
  call.json(containers.execInspect(call.param));
};

export const CONTAINER_ROUTES: readonly EngineRoute[] = [
  plain("GET /containers/json", list),
  plain("POST /containers/create", create),
  plain("POST /containers/prune", prune, { since: 1025 }),
  plain("GET /containers/{id}/json", inspect),
  plain("POST /containers/{id}/start", start),
  plain("POST /containers/{id}/stop", stop),
  plain("POST /containers/{id}/restart", restart),
  plain("POST /containers/{id}/kill", kill),
  plain("POST /containers/{id}/pause", pause),
  plain("POST /containers/{id}/unpause", unpause),
  plain("POST /containers/{id}/rename", rename),
  plain("POST /containers/{id}/resize", resize),
  plain("POST /containers/{id}/wait", wait),
  plain("DELETE /containers/{id}", remove),
  plain("POST /containers/{id}/exec", execCreate),
  plain("POST /exec/{id}/resize", execResize),
  plain("GET /exec/{id}/json", execInspect),
];
