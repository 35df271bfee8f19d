import type { EventLine } from "../../sdk/mod.ts";
import type { Command } from "../command.ts";
import { list, text } from "../flags/flag.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { formatLocalTime } from "../output/human.ts";
import { compileTemplate } from "../template/evaluate.ts";
import { instantText } from "./logs.ts";

export const eventsCommand: Command = {
  path: "events",
  usage: "",
  summary: "Get real time events from the engine",
  flags: [
    list("filter", "f", "Filter output based on conditions provided", { value: "filter" }),
    text("format", "", "Format output: 'json' or a Go template"),
    text("since", "", "Show all events created since timestamp"),
    text("until", "", "Stream events until this timestamp"),
  ],
  minArgs: 0,
  maxArgs: 0,
  examples: ["events --filter type=container", "events --since 10m --until 0s --format json"],
  async run({ context, values }) {
    const { io } = context;
    const format = values.string("format");
    const template =
      format === "" ? undefined : compileTemplate(format === "json" ? "{{json .}}" : format);
    const engine = await context.engine();
    const events = await engine.system.events({
      since: instantText(values.string("since"), io.nowMs()),
      until: instantText(values.string("until"), io.nowMs()),
      filters: parseFilters(values.list("filter")),
    });
    for await (const event of events) {
      io.stdout.print(
        `${template?.apply(format === "json" ? event : templateData(event)) ?? eventText(event)}\n`,
      );
    }
    return 0;
  },
};

/** What a template sees: docker's names beside those of the wire. */
function templateData(event: EventLine): object {
  const isLegacy = event.Type === "container" || event.Type === "image";
  return {
    ...event,
    ID: event.id ?? (isLegacy ? event.Actor.ID : ""),
    Status: event.status ?? (isLegacy ? event.Action : ""),
    From: event.from ?? (event.Type === "container" ? event.Actor.Attributes?.["image"] : ""),
    Scope: event.scope ?? "",
    Time: event.time,
    TimeNano: event.timeNano,
  };
}

function eventText(event: EventLine): string {
  const time = formatLocalTime(event.timeNano);
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  const tail = attributes.length > 0 ? ` (${attributes.join(", ")})` : "";
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID}${tail}`;
}
