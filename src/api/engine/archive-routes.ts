import { isNaruError, NaruError } from "../../base/mod.ts";
import type { ContainerPathStat, FileOutput } from "../../containers/mod.ts";
import { type ContainerConfig, decodeContainerConfig } from "../../spec/mod.ts";
import { streamBody, writeDrained } from "../../transport/mod.ts";
import type { Call } from "./call.ts";
import { type EngineContext, type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const TAR = "application/x-tar";
const EXPORT = "application/octet-stream"; // as dockerd sends an export
const STAT_HEADER = "X-Docker-Container-Path-Stat";

function pathOf(call: Call): string {
  const path = call.query.text("path");
  // Docker's words, the missing blank included.
  if (path === "") throw new NaruError("invalid_argument", "bad parameter: pathcannot be empty");
  return path;
}

function statHeader(stat: ContainerPathStat): string {
  const { name, size, mode, mtime, linkTarget } = stat;
  return Buffer.from(JSON.stringify({ name, size, mode, mtime, linkTarget })).toString("base64");
}

const head: PlainHandler = async (call, { containers }) => {
  const stat = await containers.files.stat(call.param, pathOf(call));
  call.response.setHeader(STAT_HEADER, statHeader(stat));
  call.response.writeHead(200);
  call.response.end();
};

// Accept-Encoding is a permission, not a wish: Docker compresses here for clients that allow it,
// which on a local socket makes a copy several times slower. naru never does.
const read: PlainHandler = async (call, context) => {
  const found = await context.containers.files.read(call.param, pathOf(call));
  call.response.setHeader(STAT_HEADER, statHeader(found.stat));
  await send(call, context, found, TAR);
};

const write: PlainHandler = async (call, { containers, options }) => {
  const path = pathOf(call);
  const { query } = call;
  await containers.files.write(call.param, streamBody(call.request, options.uploadIdleMs), {
    path,
    noOverwriteDirNonDir: query.flag("noOverwriteDirNonDir"),
    copyUidGid: query.flag("copyUIDGID"),
  });
  call.empty(200);
};

const exportRoot: PlainHandler = async (call, context) => {
  await send(call, context, await context.containers.files.export(call.param), EXPORT);
};

const changes: PlainHandler = async (call, context) => {
  const output = await context.containers.files.changes(call.param);
  await send(call, context, output, "application/json");
};

/**
 * Sends a stream at the client's pace. One that takes nothing for long is dropped: it may keep a
 * container from starting. What fails under way cuts the body off, which is how HTTP tells it.
 */
/** Sends a stream at the client's pace; one that goes away or stalls ends it. */
export async function send(
  call: Call,
  context: EngineContext,
  output: FileOutput,
  contentType: string,
): Promise<void> {
  const gone = (): void => void output.close();
  call.signal.addEventListener("abort", gone, { once: true });
  let idle: ReturnType<typeof setTimeout> | undefined;
  try {
    if (call.signal.aborted) return;
    call.startStream(contentType);
    for await (const chunk of output.stream) {
      idle = setTimeout(() => call.response.destroy(), context.options.uploadIdleMs);
      await writeDrained(call.response, chunk);
      clearTimeout(idle);
    }
    call.response.end();
  } catch (error) {
    if (!isNaruError(error, "cancelled")) throw error;
    call.response.destroy();
  } finally {
    clearTimeout(idle);
    call.signal.removeEventListener("abort", gone);
    await output.close();
  }
}

const commit: PlainHandler = async (call, { containers }) => {
  const { query } = call;
  const container = query.text("container");
  const request = {
    pause: query.flagOr("pause", true),
    author: query.text("author"),
    comment: query.text("comment"),
    repo: query.text("repo"),
    tag: query.text("tag"),
    changes: query.all("changes"),
    config: await bodyConfig(call),
  };
  const id = await containers.files.commit(container, request, call.signal);
  call.json({ Id: id }, 201);
};

/** The body may be missing, empty, `null` or a configuration. */
async function bodyConfig(call: Call): Promise<ContainerConfig | null> {
  const { headers } = call.request;
  const bodyless =
    (headers["content-length"] ?? "0") === "0" && headers["transfer-encoding"] === undefined;
  if (bodyless) return null;
  const body = await call.jsonBody();
  return body === null ? null : decodeContainerConfig(body as Record<string, unknown>, "config");
}

const saveOne: PlainHandler = (call, context) => save(call, context, [call.param]);

const saveSeveral: PlainHandler = (call, context) =>
  // Docker's clients repeat the name; others join several with commas, which no name can have.
  save(
    call,
    context,
    call.query.all("names").flatMap((names) => names.split(",")),
  );

async function save(call: Call, context: EngineContext, names: readonly string[]): Promise<void> {
  if (call.query.text("platform") !== "") {
    throw new NaruError(
      "unsupported",
      "platform: choosing a platform is not supported by this version of naru",
    );
  }
  const stream = await context.images.save(names);
  await send(call, context, { stream, close: () => Promise.resolve() }, TAR);
}

export const ARCHIVE_ROUTES: readonly EngineRoute[] = [
  plain("HEAD /containers/{id}/archive", head),
  plain("GET /containers/{id}/archive", read),
  plain("PUT /containers/{id}/archive", write),
  plain("GET /containers/{id}/export", exportRoot),
  plain("GET /containers/{id}/changes", changes),
  plain("POST /commit", commit),
  plain("GET /images/{name}/get", saveOne),
  plain("GET /images/get", saveSeveral),
];
