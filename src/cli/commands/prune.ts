import type { EngineClient, Filters } from "../../sdk/mod.ts";
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

/** A volume has no time of its last use. */
const VOLUME_FLAGS = [
  list("filter", "", 'Provide filter values (e.g. "label=<label>")', { value: "filter" }),
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

async function pruneVolumes(
  context: CliContext,
  engine: EngineClient,
  options: { readonly filters: Filters; readonly named: boolean },
): Promise<number> {
  const filters = new Map(options.filters);
  if (options.named) filters.set("all", ["1"]);
  const { VolumesDeleted, SpaceReclaimed } = await engine.volumes.prune(filters);
  const deleted = VolumesDeleted ?? [];
  if (deleted.length > 0) context.io.stdout.print(`Deleted Volumes:\n${deleted.join("\n")}\n\n`);
  return SpaceReclaimed;
}

async function pruneNetworks(
  context: CliContext,
  engine: EngineClient,
  values: FlagValues,
): Promise<void> {
  const { NetworksDeleted } = await engine.networks.prune(parseFilters(values.list("filter")));
  const deleted = NetworksDeleted ?? [];
  if (deleted.length > 0) context.io.stdout.print(`Deleted Networks:\n${deleted.join("\n")}\n\n`);
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

export const volumePruneCommand: Command = {
  path: "volume prune",
  usage: "",
  summary: "Remove unused local volumes",
  flags: [bool("all", "a", "Remove all unused volumes, not just anonymous ones"), ...VOLUME_FLAGS],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const which = values.bool("all") ? "all local volumes" : "anonymous local volumes";
    await confirm(context, values, `This will remove ${which} not used by at least one container.`);
    const engine = await context.engine();
    const filters = parseFilters(values.list("filter"));
    const named = values.bool("all");
    reclaimed(context, await pruneVolumes(context, engine, { filters, named }));
    return 0;
  },
};

export const networkPruneCommand: Command = {
  path: "network prune",
  usage: "",
  summary: "Remove all unused networks",
  flags: FLAGS,
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const warning = "This will remove all custom networks not used by at least one container.";
    await confirm(context, values, warning);
    await pruneNetworks(context, await context.engine(), values);
    return 0;
  },
};

export const systemPruneCommand: Command = {
  path: "system prune",
  usage: "",
  summary: "Remove stopped containers, unused networks and unused images",
  flags: [
    bool("all", "a", "Remove all unused images, not just dangling ones"),
    bool("volumes", "", "Prune anonymous volumes"),
    ...FLAGS,
  ],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const images = values.bool("all")
      ? "all images without at least one container associated to them"
      : "all dangling images";
    const wanted = values.bool("volumes");
    if (wanted && values.list("filter").some((filter) => filter.startsWith("until="))) {
      throw new ExitError(1, 'ERROR: The "until" filter is not supported with "--volumes"');
    }
    const volumes = wanted ? "  - all anonymous volumes not used by at least one container\n" : "";
    const networks = "  - all networks not used by at least one container\n";
    const what = `This will remove:\n  - all stopped containers\n${networks}${volumes}  - ${images}\n`;
    await confirm(context, values, what);
    const engine = await context.engine();
    let freed = await pruneContainers(context, engine, values);
    await pruneNetworks(context, engine, values);
    // `--all` is about images: named volumes stay.
    const filters = parseFilters(values.list("filter"));
    if (wanted) freed += await pruneVolumes(context, engine, { filters, named: false });
    reclaimed(context, freed + (await pruneImages(context, engine, values)));
    return 0;
  },
};
