import type { EngineClient } from "../../sdk/mod.ts";
import type { Command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { ExitError } from "../exit-error.ts";
import { bool, list } from "../flags/flag.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { formatSize } from "../output/human.ts";

const FLAGS = [
  list("filter", "", 'Provide filter values (e.g. "until=<timestamp>")', { value: "filter" }),
  bool("force", "f", "Do not prompt for confirmation"),
];

async function confirm(context: CliContext, values: FlagValues, warning: string): Promise<void> {
  if (values.bool("force")) return;
  const { io } = context;
  io.stdout.print(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `);
  let answer = "";
  for await (const chunk of io.stdin.chunks()) {
    answer += Buffer.from(chunk).toString("utf8");
    if (answer.includes("\n")) break;
  }
  if (!/^\s*y(es)?\s*$/i.test(answer.split("\n")[0] ?? "")) {
    throw new ExitError(1, "nothing was removed: answer y, or use --force");
  }
}

async function pruneContainers(
  context: CliContext,
  engine: EngineClient,
  values: FlagValues,
): Promise<number> {
  const filters = parseFilters(values.list("filter"));
  const { ContainersDeleted, SpaceReclaimed } = await engine.containers.prune(filters);
  const deleted = ContainersDeleted ?? [];
  if (deleted.length > 0) {
    context.io.stdout.print(`Deleted Containers:\n${deleted.join("\n")}\n\n`);
  }
  return SpaceReclaimed;
}

async function pruneImages(
  context: CliContext,
  engine: EngineClient,
  values: FlagValues,
): Promise<number> {
  const filters = new Map(parseFilters(values.list("filter")));
  filters.set("dangling", [values.bool("all") ? "false" : "true"]);
  const { ImagesDeleted, SpaceReclaimed } = await engine.images.prune(filters);
  const items = (ImagesDeleted ?? []).map((item) =>
    "Deleted" in item ? `deleted: ${item.Deleted}` : `untagged: ${item.Untagged}`,
  );
  if (items.length > 0) context.io.stdout.print(`Deleted Images:\n${items.join("\n")}\n\n`);
  return SpaceReclaimed;
}

function reclaimed(context: CliContext, bytes: number): void {
  context.io.stdout.print(`Total reclaimed space: ${formatSize(bytes)}\n`);
}

export const containerPruneCommand: Command = {
  path: "container prune",
  usage: "",
  summary: "Remove all stopped containers",
  flags: FLAGS,
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    await confirm(context, values, "This will remove all stopped containers.");
    reclaimed(context, await pruneContainers(context, await context.engine(), values));
    return 0;
  },
};

export const imagePruneCommand: Command = {
  path: "image prune",
  usage: "",
  summary: "Remove unused images",
  flags: [bool("all", "a", "Remove all unused images, not just dangling ones"), ...FLAGS],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const what = values.bool("all")
      ? "This will remove all images without at least one container associated to them."
      : "This will remove all dangling images.";
    await confirm(context, values, what);
    reclaimed(context, await pruneImages(context, await context.engine(), values));
    return 0;
  },
};

export const systemPruneCommand: Command = {
  path: "system prune",
  usage: "",
  summary: "Remove stopped containers and unused images",
  flags: [bool("all", "a", "Remove all unused images, not just dangling ones"), ...FLAGS],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const images = values.bool("all")
      ? "all images without at least one container associated to them"
      : "all dangling images";
    const what = `This will remove:\n  - all stopped containers\n  - ${images}\n`;
    await confirm(context, values, what);
    const engine = await context.engine();
    const freed = await pruneContainers(context, engine, values);
    reclaimed(context, freed + (await pruneImages(context, engine, values)));
    return 0;
  },
};
