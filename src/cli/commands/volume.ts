import { NaruError } from "../../base/mod.ts";
import type { VolumeBody } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import { bool, type Flag, list, text } from "../flags/flag.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { printList, type Row } from "../output/list-output.ts";
import { forEachName } from "./each.ts";

const HEADERS: Row = {
  Availability: "AVAILABILITY",
  Driver: "DRIVER",
  Group: "GROUP",
  Labels: "LABELS",
  Links: "LINKS",
  Mountpoint: "MOUNTPOINT",
  Name: "VOLUME NAME",
  Scope: "SCOPE",
  Size: "SIZE",
  Status: "STATUS",
  Label: (name: unknown): string => String(name),
};

/** Flags of cluster volumes, a thing of swarm mode. */
const CLUSTER_FLAGS: readonly Flag[] = [
  text("availability", "", "Cluster Volume availability (active, pause, drain)", { hidden: true }),
  text("group", "", "Cluster Volume group", { hidden: true }),
  text("limit-bytes", "", "Minimum size of the Cluster Volume in bytes", { hidden: true }),
  text("required-bytes", "", "Maximum size of the Cluster Volume in bytes", { hidden: true }),
  text("scope", "", "Cluster Volume access scope", { hidden: true }),
  list("secret", "", "Cluster Volume secrets", { hidden: true }),
  text("sharing", "", "Cluster Volume access sharing", { hidden: true }),
  list("topology-preferred", "", "A topology that the volume would be preferred in", {
    hidden: true,
  }),
  list("topology-required", "", "A topology that the volume must be accessible from", {
    hidden: true,
  }),
  text("type", "", "Cluster Volume access type (mount, block)", { hidden: true }),
];

function refuseCluster(values: FlagValues): void {
  const given = CLUSTER_FLAGS.find(({ name }) => values.has(name));
  if (given === undefined) return;
  throw new NaruError(
    "unsupported",
    `--${given.name}: cluster volumes need swarm mode, which naru does not have`,
  );
}

/** `key=value` pairs; a lone key has the value "". */
function pairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((one) => {
      const equals = one.indexOf("=");
      return equals === -1 ? [one, ""] : [one.slice(0, equals), one.slice(equals + 1)];
    }),
  );
}

export const volumeCreateCommand: Command = {
  path: "volume create",
  usage: "[VOLUME]",
  summary: "Create a volume",
  flags: [
    text("driver", "d", "Specify volume driver name", { preset: "local" }),
    list("label", "", "Set metadata for a volume"),
    text("name", "", "Specify volume name", { hidden: true }),
    list("opt", "o", "Set driver specific options", { value: "map" }),
    ...CLUSTER_FLAGS,
  ],
  minArgs: 0,
  maxArgs: 1,
  examples: [
    "volume create data",
    "volume create -o type=nfs -o o=addr=nas,rw -o device=:/export data",
    "volume create -o backing=image -o size=10g data",
  ],
  async run({ context, values, args: [name = ""] }) {
    refuseCluster(values);
    const given = values.string("name");
    if (given !== "" && name !== "") {
      throw new NaruError(
        "invalid_argument",
        "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
      );
    }
    const engine = await context.engine();
    const made = await engine.volumes.create({
      name: name === "" ? given : name,
      driver: values.string("driver"),
      options: pairs(values.list("opt")),
      labels: pairs(values.list("label")),
    });
    context.io.stdout.print(`${made.Name}\n`);
    return 0;
  },
};

export const volumeListCommand: Command = {
  path: "volume ls",
  usage: "",
  summary: "List volumes",
  flags: [
    bool("cluster", "", "Display only cluster volumes", { hidden: true }),
    list("filter", "f", 'Provide filter values (e.g. "dangling=true")', { value: "filter" }),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("quiet", "q", "Only display volume names"),
  ],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const engine = await context.engine();
    const found = await engine.volumes.list(parseFilters(values.list("filter")));
    for (const warning of found.Warnings ?? []) context.io.stderr.print(`WARNING: ${warning}\n`);
    // Cluster volumes would come with swarm mode: there are none.
    const rows = values.bool("cluster") ? [] : (found.Volumes ?? []).map(volumeRow);
    rows.sort((a, b) => (String(a["Name"]) < String(b["Name"]) ? -1 : 1));
    const quiet = values.bool("quiet");
    const format = values.string("format") || (quiet ? "" : (context.config.volumesFormat ?? ""));
    const table = "{{.Driver}}\t{{.Name}}";
    const columns = { headers: HEADERS, table, idField: "Name" };
    printList(context.io.stdout, rows, columns, { format, quiet });
    return 0;
  },
};

/** What docker does not know without a size it calls N/A. */
function volumeRow(volume: VolumeBody): Row {
  const labels = volume.Labels ?? {};
  return {
    Availability: "N/A",
    Driver: volume.Driver,
    Group: "N/A",
    Labels: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Links: "N/A",
    Mountpoint: volume.Mountpoint,
    Name: volume.Name,
    Scope: volume.Scope,
    Size: "N/A",
    Status: "N/A",
    Label: (name: unknown): string => labels[String(name)] ?? "",
  };
}

export const volumeRemoveCommand: Command = {
  path: "volume rm",
  usage: "VOLUME [VOLUME...]",
  summary: "Remove one or more volumes",
  flags: [bool("force", "f", "Force the removal of one or more volumes")],
  minArgs: 1,
  examples: ["volume rm data"],
  run: ({ context, values, args }) =>
    forEachName(context, args, async (engine, name) => {
      await engine.volumes.remove(name, { force: values.bool("force") });
      return name;
    }),
};

/** Docker's updates cluster volumes only, and so does nothing here but say so. */
export const volumeUpdateCommand: Command = {
  path: "volume update",
  usage: "[VOLUME]",
  summary: "Update a volume (cluster volumes only)",
  flags: [text("availability", "", "Cluster Volume availability (active, pause, drain)")],
  minArgs: 1,
  maxArgs: 1,
  run: () => {
    throw new NaruError(
      "unsupported",
      "only cluster volumes can be updated; they need swarm mode, which naru does not have",
    );
  },
};
