import { readFileSync } from "node:fs";
import { errorMessage, MiB, NaruError, SECOND_MS } from "../base/mod.ts";
import type { PluginAddress } from "./discovery.ts";

/** A JSON object from a plugin. */
export type PluginAnswer = Readonly<Record<string, unknown>>;

/** One plugin of the host. */
export interface Plugin {
  readonly name: string;
  /** Subsystems that it says to implement: `VolumeDriver`, `NetworkDriver`, `IpamDriver`. */
  implements(): Promise<readonly string[]>;
  /**
   * `POST /METHOD`. Throws unavailable when the plugin is not there, does not answer in time or
   * answers nonsense, and `invalid_argument` with its own words when it says that it failed.
   */
  call(method: string, body: object): Promise<PluginAnswer>;
}

const ANSWER_BYTES_MAX = 4 * MiB; // a list of thousands of volumes
const MESSAGE_MAX = 500; // characters of a plugin's own words
const MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json"; // the newest version of the protocol

export interface PluginLimits {
  /** One call may make a volume in a data centre. */
  readonly callMs: number;
  /** A plugin that has just been started may not listen yet. */
  readonly connectMs: number;
}

export const PLUGIN_LIMITS: PluginLimits = { callMs: 120 * SECOND_MS, connectMs: 5 * SECOND_MS };
const RETRY_FIRST_MS = 50;

export function createPlugin(address: PluginAddress, limits: PluginLimits = PLUGIN_LIMITS): Plugin {
  let activation: Promise<readonly string[]> | undefined;
  const send = (method: string, body: object | undefined): Promise<PluginAnswer> =>
    callPlugin(address, limits, method, body);
  const activate = (): Promise<readonly string[]> => {
    activation ??= send("Plugin.Activate", undefined).then(({ Implements: names }) =>
      Array.isArray(names) ? names.filter((name): name is string => typeof name === "string") : [],
    );
    activation.catch(() => {
      activation = undefined; // asked again: it may be started by then
    });
    return activation;
  };
  return {
    name: address.name,
    implements: activate,
    async call(method, body) {
      await activate();
      return send(method, body);
    },
  };
}

async function callPlugin(
  address: PluginAddress,
  limits: PluginLimits,
  method: string,
  body: object | undefined,
): Promise<PluginAnswer> {
  const response = await connect(address, limits, method, body);
  let text: string;
  try {
    text = await boundedText(response, address, method);
  } catch (error) {
    throw unavailable(address, method, error);
  }
  const answer = parse(text);
  const complaint = answer === undefined ? "" : complaintOf(answer);
  if (complaint !== "") {
    throw new NaruError("invalid_argument", `${method}: ${complaint}`, { plugin: address.name });
  }
  if (response.status === 404) throw unavailable(address, method, "the plugin has no such call");
  if (response.status !== 200) throw unavailable(address, method, `status ${response.status}`);
  if (answer === undefined) throw unavailable(address, method, "the answer is no JSON object");
  return answer;
}

async function connect(
  address: PluginAddress,
  limits: PluginLimits,
  method: string,
  body: object | undefined,
): Promise<Response> {
  const startedMs = performance.now();
  for (let delayMs = RETRY_FIRST_MS; ; delayMs *= 2) {
    try {
      return await fetch(urlOf(address, method), {
        method: "POST",
        headers: { "Content-Type": MEDIA_TYPE, Accept: MEDIA_TYPE },
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "manual",
        keepalive: false,
        signal: AbortSignal.timeout(limits.callMs),
        ...transportOf(address),
      });
    } catch (error) {
      // Only what was never heard is said again: a call that was cut off may have been done.
      const late = performance.now() - startedMs + delayMs > limits.connectMs;
      if (late || !isNotListening(error)) throw unavailable(address, method, error);
      await Bun.sleep(delayMs);
    }
  }
}

function urlOf({ url, tls }: PluginAddress, method: string): string {
  if (url.startsWith("unix://")) return `http://plugin/${method}`;
  const scheme = tls === undefined && !url.startsWith("https:") ? "http" : "https";
  return `${scheme}://${url.replace(/^[a-z]+:\/\//, "").replace(/\/$/, "")}/${method}`;
}

function transportOf({ url, tls }: PluginAddress): object {
  if (url.startsWith("unix://")) return { unix: url.slice("unix://".length) };
  if (tls === undefined) return {};
  const file = (path: string): string | undefined =>
    path === "" ? undefined : readFileSync(path, "utf8");
  return {
    tls: {
      rejectUnauthorized: !tls.insecureSkipVerify,
      ca: file(tls.caFile),
      cert: file(tls.certFile),
      key: file(tls.keyFile),
    },
  };
}

function isNotListening(error: unknown): boolean {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : "";
  return code === "ECONNREFUSED" || code === "ConnectionRefused" || code === "FailedToOpenSocket";
}

async function boundedText(
  response: Response,
  address: PluginAddress,
  method: string,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > ANSWER_BYTES_MAX) {
      throw unavailable(address, method, `more than ${ANSWER_BYTES_MAX} bytes of answer`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): PluginAnswer | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as PluginAnswer) : undefined;
  } catch {
    return undefined;
  }
}

/** What a plugin says went wrong, fit to be shown: short and without control characters. */
function complaintOf(answer: PluginAnswer): string {
  const { Err: text } = answer;
  if (typeof text !== "string") return "";
  return text
    .slice(0, MESSAGE_MAX)
    .replace(/[\p{Cc}\p{Cf}]/gu, " ")
    .trim();
}

function unavailable({ name }: PluginAddress, method: string, why: unknown): NaruError {
  if (why instanceof NaruError) return why;
  const timedOut = why instanceof Error && why.name === "TimeoutError";
  const reason = timedOut ? "no answer in time" : typeof why === "string" ? why : errorMessage(why);
  return new NaruError(
    "unavailable",
    `plugin "${name}": ${method}: ${reason.slice(0, MESSAGE_MAX)}`,
    { plugin: name },
    why instanceof Error ? { cause: why } : {},
  );
}
