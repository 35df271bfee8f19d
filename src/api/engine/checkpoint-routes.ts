import { NaruError } from "../../base/mod.ts";
import type { Call } from "./call.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

/*
 * Nothing here makes a checkpoint, so every list is empty: that much is true, and lets clients that
 * only look go on. docs/decisions/0065 says why there are none.
 */

const list: PlainHandler = async (call, { containers }) => {
  await containers.inspect(call.param, { size: false });
  call.json([]);
};

const create: PlainHandler = async (call, { containers }) => {
  const { State, Id } = await containers.inspect(call.param, { size: false });
  if (!State.Running) throw new NaruError("conflict", `Container ${Id} is not running`);
  throw unsupported();
};

/** A start that is to restore one must not start afresh instead. Throws unsupported. */
export function refuseCheckpoint(call: Call): void {
  for (const name of ["checkpoint", "checkpoint-dir"]) {
    if (call.query.text(name) !== "") throw unsupported();
  }
}

function unsupported(): NaruError {
  const why = "they need CRIU in the runtime, which Debian's crun is built without";
  return new NaruError(
    "unsupported",
    `checkpoints are not supported by this version of naru: ${why}`,
  );
}

export const CHECKPOINT_ROUTES: readonly EngineRoute[] = [
  plain("GET /containers/{id}/checkpoints", list),
  plain("POST /containers/{id}/checkpoints", create),
];
