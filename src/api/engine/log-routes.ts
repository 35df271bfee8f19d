import { formatTimestamp, NaruError } from "../../base/mod.ts";
import { encodeStdcopy, GatheredWriter } from "../../transport/mod.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { MULTIPLEXED_STREAM, RAW_STREAM } from "./raw-answer.ts";

const MULTIPLEXED_SINCE = 1042;

const logs: PlainHandler = async (call, { containers }) => {
  const { query } = call;
  const stdout = query.flag("stdout");
  const stderr = query.flag("stderr");
  if (!stdout && !stderr) {
    throw new NaruError("invalid_argument", "Bad parameters: you must choose at least one stream");
  }
  const timestamps = query.flag("timestamps");
  const { tty, entries, attributePrefix } = await containers.logs(call.param, {
    stdout,
    stderr,
    follow: query.flag("follow"),
    sinceNs: query.instant("since"),
    untilNs: query.instant("until"),
    tailLines: tailLines(query.text("tail")),
    signal: call.signal,
  });
  call.startStream(!tty && call.version >= MULTIPLEXED_SINCE ? MULTIPLEXED_STREAM : RAW_STREAM);
  const writer = new GatheredWriter(call.response);
  const attributes = query.flag("details") ? attributePrefix : "";
  for await (const entry of entries) {
    const time = timestamps ? `${paddedTime(entry.timeNs)} ` : "";
    const before = time + attributes;
    const line = before === "" ? entry.bytes : Buffer.concat([Buffer.from(before), entry.bytes]);
    await writer.write(tty ? line : encodeStdcopy(entry.stream, line));
  }
  await writer.flush();
  call.response.end();
};

/** Docker's log times keep all nine digits, so that columns stay in line. */
function paddedTime(unixNs: bigint): string {
  const [whole = "", fraction = ""] = formatTimestamp(unixNs).slice(0, -1).split(".");
  return `${whole}.${fraction.padEnd(9, "0")}Z`;
}

/** Anything that is no number of lines means all of them. */
function tailLines(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export const LOG_ROUTES: readonly EngineRoute[] = [plain("GET /containers/{id}/logs", logs)];
