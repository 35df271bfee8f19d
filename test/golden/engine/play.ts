/** Plays a case against an engine's socket and writes down what it answered. */
import type { BodyForm, CallStep, Case, Step } from "./case.ts";
import type { Archives } from "./images.ts";
import { normaliseJson, normaliseText, shapeOf } from "./normalise.ts";
import { deframe, Exchange, type Head, headerOf } from "./wire.ts";

/** One recorded step; which of the body members is there depends on the form. */
export interface Answer {
  readonly step: string;
  /** What was sent, as the case says it. */
  readonly sent?: unknown;
  readonly status?: number;
  readonly statusLine?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly lines?: readonly unknown[];
  readonly frames?: readonly unknown[];
  readonly text?: string;
}

export interface Engine {
  readonly socketPath: string;
  readonly archives: Archives;
}

// On every answer alike, and checked by the case "headers"; or of no meaning to a client.
const USUAL_HEADERS: ReadonlySet<string> = new Set([
  "date",
  "api-version",
  "docker-experimental",
  "ostype",
  "server",
  "content-length",
  "transfer-encoding",
]);

interface Held {
  readonly exchange: Exchange;
  readonly step: CallStep;
}

interface Play {
  readonly engine: Engine;
  readonly api: string;
  readonly names: Map<string, string>;
  readonly held: Map<string, Held>;
}

/** Plays all steps; the engine is emptied of containers and foreign images afterwards. */
export async function play(engine: Engine, api: string, what: Case): Promise<Answer[]> {
  const run: Play = { engine, api, names: new Map(), held: new Map() };
  const answers: Answer[] = [];
  try {
    const base = await request(run, { call: "GET /images/naru-golden:1/json" });
    const { json } = await answerOf(run, base.step, base.exchange, { raw: true });
    run.names.set("image", (json as { Id: string }).Id);
    for (const [index, step] of what.steps.entries()) {
      try {
        const answer = await perform(run, step);
        if (answer !== undefined) answers.push(answer);
      } catch (error) {
        throw new Error(`case ${what.name} at ${api}, step ${index}: ${String(error)}`);
      }
    }
  } finally {
    for (const { exchange } of run.held.values()) exchange.destroy();
    await reset(engine);
  }
  return answers;
}

async function perform(run: Play, step: Step): Promise<Answer | undefined> {
  if ("call" in step) return call(run, step);
  if ("sleepMs" in step) {
    await Bun.sleep(step.sleepMs);
    return undefined;
  }
  if ("write" in step) {
    heldOf(run, step.write).exchange.write(step.text);
    return undefined;
  }
  if ("expect" in step) {
    await heldOf(run, step.expect).exchange.expect(fill(run, step.text));
    return undefined;
  }
  if ("halfClose" in step) {
    heldOf(run, step.halfClose).exchange.halfClose();
    return undefined;
  }
  const name = "finish" in step ? step.finish : step.drop;
  const { exchange, step: opened } = heldOf(run, name);
  const bytes = "finish" in step ? await exchange.body() : await exchange.bodySoFar();
  exchange.destroy();
  run.held.delete(name);
  const verb = "finish" in step ? "end of" : "so far of";
  return { step: `${verb} ${name}`, ...bodyOf(run, opened, await exchange.head(), bytes) };
}

async function call(run: Play, step: CallStep): Promise<Answer | undefined> {
  const { exchange } = await request(run, step);
  if (step.hold !== undefined) {
    run.held.set(step.hold, { exchange, step });
    const head = await exchange.head();
    if (step.quiet) return undefined;
    return { step: `${step.call} -> ${step.hold}`, ...sentOf(step), ...headOf(head, step) };
  }
  const answer = await answerOf(run, step, exchange, { raw: false });
  return step.quiet ? undefined : answer;
}

async function answerOf(
  run: Play,
  step: CallStep,
  exchange: Exchange,
  options: { readonly raw: boolean },
): Promise<Answer> {
  const head = await exchange.head();
  const bytes = await exchange.body();
  exchange.destroy();
  if (step.quiet && head.status >= 400) {
    throw new Error(`${step.call} answered ${head.status} ${bytes.toString()}`);
  }
  for (const [name, field] of Object.entries(step.save ?? {})) {
    const value = (JSON.parse(bytes.toString()) as Record<string, unknown>)[field];
    if (typeof value !== "string")
      throw new Error(`${step.call}: no ${field} in ${bytes.toString()}`);
    run.names.set(name, value);
  }
  if (step.quiet && !options.raw) return { step: step.call };
  if (options.raw) return { step: step.call, json: JSON.parse(bytes.toString()) };
  const sent = { step: step.call, ...sentOf(step) };
  return { ...sent, ...headOf(head, step), ...bodyOf(run, step, head, bytes) };
}

async function request(run: Play, step: CallStep): Promise<{ exchange: Exchange; step: CallStep }> {
  const space = step.call.indexOf(" ");
  const method = step.call.slice(0, space);
  const path = fill(run, step.call.slice(space + 1));
  const target = step.bare ? path : `/v${run.api}${path}`;
  const body = requestBody(run, step);
  const headers: Record<string, string> = { Host: "docker" };
  if (step.upgrade) Object.assign(headers, { Connection: "Upgrade", Upgrade: "tcp" });
  if (step.archive !== undefined) headers["Content-Type"] = "application/x-tar";
  else if (body !== undefined) headers["Content-Type"] = "application/json";
  if (body !== undefined) headers["Content-Length"] = String(body.length);
  else if (method === "POST") headers["Content-Length"] = "0";
  Object.assign(headers, step.headers);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${method} ${encodeTarget(target)} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const bytes = body === undefined ? head : Buffer.concat([head, body]);
  return { exchange: await Exchange.open(run.engine.socketPath, method, bytes), step };
}

function sentOf(step: CallStep): Partial<Answer> {
  if (step.archive !== undefined) return { sent: `the archive ${step.archive}` };
  return step.body === undefined ? {} : { sent: step.body };
}

function requestBody(run: Play, step: CallStep): Uint8Array | undefined {
  if (step.archive !== undefined) {
    const archive = run.engine.archives.get(step.archive);
    if (archive === undefined) throw new Error(`no archive ${step.archive}`);
    return archive;
  }
  if (step.body === undefined) return undefined;
  const text = typeof step.body === "string" ? step.body : JSON.stringify(step.body);
  return Buffer.from(fill(run, text));
}

/** Cases write filters as plain JSON; on the wire it is percent-encoded. */
function encodeTarget(target: string): string {
  return target.replace(/[^!-~]|["<>\\^`{|}]/g, (char) => encodeURIComponent(char));
}

function fill(run: Play, text: string): string {
  return text.replace(/\{([a-z]+)(:12)?\}/g, (whole, name: string, short: string | undefined) => {
    const value = run.names.get(name);
    if (value === undefined) return whole;
    return short === undefined ? value : value.replace(/^sha256:/, "").slice(0, 12);
  });
}

function headOf(head: Head, step: CallStep): Partial<Answer> {
  const kept = head.headers.filter(([name, value]) => {
    if (name.toLowerCase() === "date") return false;
    if (name === "Transfer-Encoding") return step.hold !== undefined || step.allHeaders === true;
    if (name === "Content-Length" && value === "0") return true;
    return step.allHeaders === true || !USUAL_HEADERS.has(name.toLowerCase());
  });
  const raw = step.upgrade || step.hold !== undefined;
  return {
    ...(raw ? { statusLine: head.statusLine } : { status: head.status }),
    headers: Object.fromEntries(kept.map(([name, value]) => [name, readable(name, value)])),
  };
}

/** The stat of a path travels as base64 of JSON; its time and the size of a folder are chance. */
function readable(name: string, value: string): string {
  if (name !== "X-Docker-Container-Path-Stat") return value;
  return normaliseText(Buffer.from(value, "base64").toString(), new Map());
}

function bodyOf(run: Play, step: CallStep, head: Head, bytes: Buffer): Partial<Answer> {
  if (bytes.length === 0 && step.form !== "frames") return {};
  const json = headerOf(head, "Content-Type")?.startsWith("application/json") === true;
  let form: BodyForm = step.form ?? "auto";
  if (head.status >= 400) form = "auto";
  if (form === "frames")
    return { frames: deframe(bytes).map((part) => normaliseJson(part, run.names)) };
  const text = bytes.toString();
  if (form === "lines") {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    return { lines: lines.map((line) => normaliseJson(JSON.parse(line), run.names)) };
  }
  if (step.pick !== undefined && head.status < 400) {
    return { json: normaliseJson(pickFrom(JSON.parse(text), step.pick), run.names) };
  }
  if (form === "shape") return { json: shapeOf(JSON.parse(text), step.keep ?? []) };
  if (form === "auto" && json) return { json: normaliseJson(JSON.parse(text), run.names) };
  return { text: normaliseText(text, run.names) };
}

function pickFrom(value: unknown, paths: readonly string[]): unknown {
  if (Array.isArray(value)) {
    const inner = paths.map((path) => path.replace(/^\[\]\./, ""));
    return value.map((item) => pickFrom(item, inner));
  }
  return Object.fromEntries(
    paths.map((path) => {
      let at = value;
      for (const key of path.split(".")) at = (at as Record<string, unknown> | undefined)?.[key];
      return [path, at];
    }),
  );
}

function heldOf(run: Play, name: string): Held {
  const held = run.held.get(name);
  if (held === undefined) throw new Error(`nothing is held as ${name}`);
  return held;
}

/** Removes every container and every image but the base one. */
async function reset(engine: Engine): Promise<void> {
  const run: Play = { engine, api: "1.41", names: new Map(), held: new Map() };
  const containers = await list(run, "GET /containers/json?all=1");
  for (const { Id } of containers) await quietly(run, `DELETE /containers/${Id}?force=1&v=1`);
  for (const { Id, RepoTags } of await list(run, "GET /images/json")) {
    const tags = (RepoTags ?? []).filter((tag) => tag !== "<none>:<none>");
    const foreign = tags.filter((tag) => tag !== "naru-golden:1");
    for (const tag of foreign) await quietly(run, `DELETE /images/${tag}?force=1`);
    if (tags.length === 0) await quietly(run, `DELETE /images/${Id}?force=1`);
  }
  const { exchange } = await request(run, { call: "POST /images/load?quiet=1", archive: "base" });
  await exchange.body();
  exchange.destroy();
}

async function list(
  run: Play,
  what: string,
): Promise<{ Id: string; RepoTags?: string[] | null }[]> {
  const { exchange } = await request(run, { call: what });
  const items = JSON.parse((await exchange.body()).toString());
  exchange.destroy();
  return items as { Id: string; RepoTags?: string[] | null }[];
}

async function quietly(run: Play, what: string): Promise<void> {
  const { exchange } = await request(run, { call: what });
  await exchange.body();
  exchange.destroy();
}

/** Loads the base image into an engine that has nothing yet. */
export async function prepare(engine: Engine): Promise<void> {
  await reset(engine);
}
