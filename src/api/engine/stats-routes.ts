import { decodeContainerUpdate, decodePortsUpdate } from "../../spec/mod.ts";
import { writeDrained } from "../../transport/mod.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const OS_TYPE_SINCE = 1052; // older clients know the fields of their own version

const stats: PlainHandler = async (call, { containers }) => {
  const { query } = call;
  const samples = containers.stats(call.param, {
    stream: query.flagOr("stream", true),
    oneShot: query.flag("one-shot"),
    signal: call.signal,
  });
  for await (const sample of samples) {
    if (!call.response.headersSent) call.startStream("application/json");
    const shown = call.version < OS_TYPE_SINCE ? sample : { ...sample, os_type: "linux" };
    await writeDrained(call.response, `${JSON.stringify(shown)}\n`);
  }
  call.response.end();
};

const top: PlainHandler = async (call, { containers }) => {
  call.json(await containers.top(call.param, call.query.text("ps_args")));
};

const update: PlainHandler = async (call, { containers }) => {
  const body = decodeContainerUpdate(await call.jsonBody());
  const { warnings } = await containers.update(call.param, body);
  call.json({ Warnings: warnings.length === 0 ? null : warnings });
};

/** naru's own: an update of Docker's says nothing of ports. */
const updatePorts: PlainHandler = async (call, { containers }) => {
  await containers.updatePorts(call.param, decodePortsUpdate(await call.jsonBody()));
  call.empty(204);
};

export const STATS_ROUTES: readonly EngineRoute[] = [
  plain("GET /containers/{id}/stats", stats),
  plain("GET /containers/{id}/top", top),
  plain("POST /containers/{id}/update", update),
  plain("POST /naru/v1/containers/{id}/ports", updatePorts),
];
