import { NaruError, parseInstant } from "../../base/mod.ts";
import { decodeFilters } from "../../spec/mod.ts";
import { writeDrained } from "../../transport/mod.ts";
import type { Call } from "./call.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { eventJson, shapeFor } from "./shape.ts";
import { systemInfo, systemVersion } from "./system-facts.ts";

const NEGOTIATED_SINCE = 1052; // older clients get application/json whatever they accept

const PING_HEADERS: readonly string[] = [
  "Builder-Version",
  "1", // the classic builder: there is no BuildKit in this build
  "Swarm",
  "inactive",
  "Cache-Control",
  "no-cache, no-store, must-revalidate",
  "Pragma",
  "no-cache",
  "Content-Type",
  "text/plain; charset=utf-8",
];
const PING_GET: string[] = [...PING_HEADERS, "Content-Length", "2"];
const PING_HEAD: string[] = [...PING_HEADERS, "Content-Length", "0"];

const ping: PlainHandler = (call) => {
  const isHead = call.request.method === "HEAD";
  call.response.writeHead(200, isHead ? PING_HEAD : PING_GET);
  call.response.end(isHead ? undefined : "OK");
};

const version: PlainHandler = async (call, { facts, options }) => {
  call.json(systemVersion(await facts(), options.engineVersion));
};

const info: PlainHandler = async (call, context) => {
  const counts = {
    ...context.containers.counts(),
    images: context.images.count(),
    eventListeners: context.events.subscriberCount(),
  };
  const answer = systemInfo(await context.facts(), counts, context.options.engineVersion);
  call.json(shapeFor("info", call.version, answer));
};

const events: PlainHandler = async (call, context) => {
  const { query } = call;
  const sinceNs = bound(query.text("since"));
  const untilNs = bound(query.text("until"));
  if (sinceNs !== undefined && untilNs !== undefined && sinceNs > untilNs) {
    throw new NaruError(
      "invalid_argument",
      `\`since\` time (${query.text("since").slice(0, 40)}) cannot be after \`until\` time (${query.text("until").slice(0, 40)})`,
    );
  }
  const filters = decodeFilters(query.text("filters"));
  const { type, before } = eventForm(call);
  const stream = context.events.subscribe({ sinceNs, untilNs, filters, signal: call.signal });
  const iterator = stream[Symbol.asyncIterator]();
  try {
    let next = iterator.next(); // subscribed before the head leaves: who lists now misses nothing
    call.startStream(type);
    for (;;) {
      const { done, value } = await next;
      if (done) break;
      await writeDrained(call.response, `${before}${eventJson(value, call.version)}\n`);
      next = iterator.next();
    }
    call.response.end();
  } finally {
    await iterator.return?.();
  }
};

function bound(text: string): bigint | undefined {
  return text === "" ? undefined : parseInstant(text);
}

/** One JSON object a line in every form; json-seq puts a record separator before each (RFC 7464). */
function eventForm(call: Call): { readonly type: string; readonly before: string } {
  const accepted = call.version >= NEGOTIATED_SINCE ? (call.request.headers.accept ?? "") : "";
  for (const part of accepted.split(",")) {
    const type = part.split(";", 1)[0]?.trim();
    if (type === "application/json-seq") return { type, before: "\u001e" };
    if (type === "application/jsonl" || type === "application/x-ndjson")
      return { type, before: "" };
  }
  return { type: "application/json", before: "" };
}

export const SYSTEM_ROUTES: readonly EngineRoute[] = [
  plain("GET /_ping", ping),
  plain("HEAD /_ping", ping),
  plain("GET /version", version),
  plain("GET /info", info),
  plain("GET /events", events),
];
