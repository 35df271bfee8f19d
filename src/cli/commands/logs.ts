import { NaruError, parseDurationNs } from "../../base/mod.ts";
import type { Command } from "../command.ts";
import { bool, text } from "../flags/flag.ts";
import { copyOutput } from "../session/attached-stream.ts";

/** `10m` ago, RFC 3339 or seconds, as `seconds[.nanoseconds]`; anything else goes as it is. */
export function instantText(text: string, nowMs: number): string {
  if (text === "") return "";
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  const ageNs = parseDurationNs(text);
  if (ageNs !== undefined) return ((nowMs - ageNs / 1e6) / 1000).toFixed(9);
  // Without a zone the local one is meant, as docker does.
  const parsedMs = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00` : text);
  if (Number.isNaN(parsedMs)) {
    throw new NaruError(
      "invalid_argument",
      `invalid time "${text}": want 10m, 2026-01-31T10:00:00Z or unix seconds`,
    );
  }
  return /T\d{2}:\d{2}:\d{2}\.\d+(Z|[+-]\d{2}:\d{2})$/.test(text)
    ? text
    : (parsedMs / 1000).toFixed(9);
}

export const logsCommand: Command = {
  path: "logs",
  usage: "CONTAINER",
  summary: "Fetch the logs of a container",
  flags: [
    bool("details", "", "Show extra details provided to logs"),
    bool("follow", "f", "Follow log output"),
    text(
      "since",
      "",
      "Show logs since timestamp (e.g. 2026-01-02T13:23:37Z) or relative (e.g. 42m)",
    ),
    text("tail", "n", "Number of lines to show from the end of the logs", { preset: "all" }),
    bool("timestamps", "t", "Show timestamps"),
    text("until", "", "Show logs before a timestamp or relative (e.g. 42m)"),
  ],
  minArgs: 1,
  maxArgs: 1,
  examples: ["logs -f web", "logs --since 10m -n 100 web"],
  async run({ context, values, args: [name = ""] }) {
    const { io } = context;
    const engine = await context.engine();
    const found = await engine.containers.inspect(name);
    const response = await engine.containers.logs(found.Id, {
      stdout: true,
      stderr: true,
      follow: values.bool("follow"),
      timestamps: values.bool("timestamps"),
      details: values.bool("details"),
      since: instantText(values.string("since"), io.nowMs()),
      until: instantText(values.string("until"), io.nowMs()),
      tail: values.string("tail"),
    });
    const iterator = response.body[Symbol.asyncIterator]();
    const read = async (): Promise<Uint8Array | null> => {
      const next = await iterator.next();
      return next.done === true ? null : next.value;
    };
    await copyOutput(io, { read }, { tty: found.Config.Tty, stdout: true, stderr: true });
    return 0;
  },
};
