import { isNaruError, NaruError } from "../../base/mod.ts";
import {
  decodeFilters,
  type ImageSummary,
  isObject,
  type ProgressMessage,
} from "../../spec/mod.ts";
import { JsonStreamWriter, streamBody } from "../../transport/mod.ts";
import type { Call } from "./call.ts";
import { streamErrorText } from "./errors.ts";
import { type EngineContext, type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { credentialsOf } from "./registry-routes.ts";
import { shapeFor } from "./shape.ts";

const LIST_FILTERS: ReadonlySet<string> = new Set([
  "before",
  "dangling",
  "label",
  "reference",
  "since",
  "until",
]);
const PRUNE_FILTERS: ReadonlySet<string> = new Set(["dangling", "label", "until"]);
const MANIFESTS_IN_LIST = 1047;
const MANIFESTS_IN_INSPECT = 1048;
const SINGULAR_FILTER_UNTIL = 1040; // `filter=` was the reference filter of old clients

const list: PlainHandler = async (call, { images }) => {
  const { query } = call;
  let filters = decodeFilters(query.text("filters"), LIST_FILTERS);
  const singular = query.text("filter");
  if (singular !== "" && call.version <= SINGULAR_FILTER_UNTIL) {
    filters = new Map([...filters, ["reference", [singular]]]);
  }
  // `digests` has no effect since 1.24; `identity` adds fields where a store has them.
  const found = await images.list({
    all: query.flag("all"),
    sharedSize: query.flag("shared-size"),
    manifests: query.flag("manifests") && call.version >= MANIFESTS_IN_LIST,
    filters,
  });
  call.json(found.map((image) => shapeFor("imageSummary", call.version, image)));
};

const inspect: PlainHandler = async (call, { images }) => {
  const platform = platformOf(call);
  const manifests = call.query.flag("manifests") && call.version >= MANIFESTS_IN_INSPECT;
  if (manifests && platform !== "") {
    const message = "conflicting options: manifests and platform cannot both be given";
    throw new NaruError("invalid_argument", message);
  }
  const shown = await images.inspect(call.param, { platform, manifests });
  call.json(shapeFor("imageInspect", call.version, shown));
};

const history: PlainHandler = async (call, { images }) => {
  call.json(await images.history(call.param, platformOf(call)));
};

const attestations: PlainHandler = async (call, { images }) => {
  const { query } = call;
  if (query.all("platform").length > 1) {
    throw new NaruError("invalid_argument", "platform: only one may be given");
  }
  const statement = query.flag("statement");
  const options = { platform: platformOf(call), types: query.all("type"), statement };
  call.json(await images.attestations(call.param, options));
};

/** An OCI platform in JSON, or `os/arch/variant`; "" when none is named. */
function platformOf(call: Call): string {
  const text = call.query.text("platform");
  if (!text.startsWith("{")) return text;
  const wrong = (): NaruError =>
    new NaruError("invalid_argument", `failed to parse platform "${text.slice(0, 100)}"`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong();
  }
  if (!isObject(value)) throw wrong();
  const part = (key: string): string => (typeof value[key] === "string" ? value[key] : "");
  if (part("os") === "" || part("architecture") === "") throw wrong();
  return [part("os"), part("architecture"), part("variant")].filter(Boolean).join("/");
}

const tag: PlainHandler = async (call, { images }) => {
  await images.tag(call.param, { repo: call.query.text("repo"), tag: call.query.text("tag") });
  call.empty(201);
};

const remove: PlainHandler = async (call, { images }) => {
  refuse(call, "platforms");
  const { query } = call;
  call.json(
    await images.remove(call.param, { force: query.flag("force"), noprune: query.flag("noprune") }),
  );
};

const load: PlainHandler = async (call, context) => {
  refuse(call, "platform");
  const body = streamBody(call.request, context.options.uploadIdleMs);
  const quiet = call.query.flagOr("quiet", false);
  await progress(call, context, context.images.load(body, { quiet, signal: call.signal }));
};

const create: PlainHandler = async (call, context) => {
  const { query } = call;
  const from = query.text("fromImage");
  if (from !== "") {
    const pulled = context.images.pull({
      name: from,
      tag: query.text("tag"),
      allTags: query.text("tag") === "" && !namesOne(from),
      platform: query.text("platform"),
      credentials: credentialsOf(call),
      signal: call.signal,
    });
    await progress(call, context, pulled);
    return;
  }
  const source = query.text("fromSrc");
  if (source === "")
    throw new NaruError("invalid_argument", "one of fromImage and fromSrc is needed");
  if (source !== "-") {
    throw new NaruError(
      "unsupported",
      "fromSrc: importing from a URL is not supported by this version of naru; send the archive with fromSrc=-",
    );
  }
  const body = streamBody(call.request, context.options.uploadIdleMs);
  const imported = context.images.import(body, {
    repo: query.text("repo"),
    tag: query.text("tag"),
    message: query.text("message"),
    changes: query.all("changes"),
    platform: query.text("platform"),
    signal: call.signal,
  });
  await progress(call, context, imported);
};

/** Has the name a tag or a digest? Without either, and without `tag`, all tags are meant. */
function namesOne(name: string): boolean {
  return name.includes("@") || name.lastIndexOf(":") > name.lastIndexOf("/");
}

const push: PlainHandler = async (call, context) => {
  const pushed = context.images.push({
    name: call.param,
    platform: platformOf(call),
    tag: call.query.text("tag"),
    credentials: credentialsOf(call),
    signal: call.signal,
  });
  await progress(call, context, pushed);
};

/** Sends messages as they come. What fails before the first is a real status, later an error line. */
async function progress(
  call: Call,
  context: EngineContext,
  messages: AsyncIterable<ProgressMessage>,
): Promise<void> {
  const writer = new JsonStreamWriter(call.response, "\r\n");
  try {
    for await (const message of messages) {
      if (!call.response.headersSent) call.startStream("application/json");
      await writer.write(message);
    }
  } catch (error) {
    if (!call.response.headersSent || call.signal.aborted) throw error;
    if (!isNaruError(error)) {
      context.logger.error("progress stream failed", { request: call.requestId, error });
    }
    const message = streamErrorText(error, call.requestId);
    await writer.write({ errorDetail: { message }, error: message });
  }
  if (!call.response.headersSent) call.startStream("application/json");
  call.response.end();
}

const prune: PlainHandler = async (call, context) => {
  const { containers, images } = context;
  const asked = decodeFilters(call.query.text("filters"), PRUNE_FILTERS);
  const all = asked.get("dangling")?.some((value) => value === "false" || value === "0") ?? false;
  const filters = new Map([...asked].filter(([key]) => key !== "dangling"));
  if (!all) filters.set("dangling", ["true"]);
  const candidates = await images.list({ all: false, sharedSize: false, filters });
  const deleted = [];
  for (const image of candidates) {
    if (call.signal.aborted) break;
    if (
      containers.usersOfImage(image.Id as Parameters<typeof containers.usersOfImage>[0]).length > 0
    )
      continue;
    for (const name of namesOf(image)) {
      const removed = await images.remove(name, { force: false, noprune: false }).catch(keptBack);
      deleted.push(...removed);
    }
  }
  const { freedBytes } = await images.collectGarbage();
  call.json({ ImagesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: freedBytes });
};

function namesOf(image: ImageSummary): readonly string[] {
  const names = image.RepoTags.filter((name) => !name.startsWith("<none>"));
  return names.length > 0 ? names : [image.Id];
}

/** In use or gone since the list was made: neither is pruning's business. */
function keptBack(error: unknown): [] {
  if (isNaruError(error, "conflict") || isNaruError(error, "not_found")) return [];
  throw error;
}

/** Fields of the contract that this build cannot honour are refused by name. */
function refuse(call: Call, name: string): void {
  if (call.query.text(name) === "") return;
  throw new NaruError(
    "unsupported",
    `${name}: choosing a platform is not supported by this version of naru`,
  );
}

export const IMAGE_ROUTES: readonly EngineRoute[] = [
  plain("GET /images/json", list),
  plain("POST /images/create", create),
  plain("POST /images/load", load),
  plain("POST /images/prune", prune, { since: 1025 }),
  plain("GET /images/{name}/json", inspect),
  plain("GET /images/{name}/history", history),
  plain("GET /images/{name}/attestations", attestations),
  plain("POST /images/{name}/push", push),
  plain("POST /images/{name}/tag", tag),
  plain("DELETE /images/{name}", remove),
];
