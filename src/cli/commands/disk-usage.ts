import type { DiskUsage } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { bool, text } from "../flags/flag.ts";
import { formatAgo, formatSize } from "../output/human.ts";
import { printList, type Row } from "../output/list-output.ts";
import { containerRow } from "./ps.ts";

const HEADERS: Row = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};
const TABLE = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

export const diskUsageCommand: Command = {
  path: "system df",
  usage: "",
  summary: "Show disk usage",
  flags: [
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("verbose", "v", "Show detailed information on space usage"),
  ],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const engine = await context.engine();
    const verbose = values.bool("verbose");
    const usage = await engine.system.diskUsage({ verbose });
    const format = values.string("format");
    if (verbose && format === "") {
      showDetails(context, usage);
      return 0;
    }
    const options = { format, quiet: false };
    const list = { headers: HEADERS, table: TABLE, idField: "Type" };
    printList(context.io.stdout, usageRows(usage), list, options);
    return 0;
  },
};

export function usageRows(usage: DiskUsage): Row[] {
  return (
    [
      ["Images", usage.ImageUsage],
      ["Containers", usage.ContainerUsage],
      ["Local Volumes", usage.VolumeUsage],
      ["Build Cache", usage.BuildCacheUsage],
    ] as const
  ).map(([type, sums]) => {
    const { TotalSize: size = 0, Reclaimable: free = 0 } = sums ?? {};
    // docker shows no share of the build cache.
    const share =
      size > 0 && type !== "Build Cache" ? ` (${Math.floor((free * 100) / size)}%)` : "";
    return {
      Type: type,
      TotalCount: String(sums?.TotalCount ?? 0),
      Active: String(sums?.ActiveCount ?? 0),
      Size: formatSize(size),
      Reclaimable: `${formatSize(free)}${share}`,
    };
  });
}

function showDetails(context: CliContext, usage: DiskUsage): void {
  const { stdout } = context.io;
  const nowMs = context.io.nowMs();
  const section = (title: string, columns: Readonly<Record<string, string>>, rows: Row[]): void => {
    stdout.print(`${title}\n\n`);
    const table = Object.keys(columns)
      .map((name) => `{{.${name}}}`)
      .join("\t");
    printList(stdout, rows, { headers: columns, table, idField: "" }, { format: "", quiet: false });
  };
  section("Images space usage:", IMAGE_COLUMNS, imageRows(usage, nowMs));
  section("\nContainers space usage:", CONTAINER_COLUMNS, containerRows(usage, nowMs));
  section("\nLocal Volumes space usage:", VOLUME_COLUMNS, volumeRows(usage));
  const cacheBytes = usage.BuildCacheUsage?.TotalSize ?? 0;
  section(`\nBuild cache usage: ${formatSize(cacheBytes)}`, CACHE_COLUMNS, []);
}

const IMAGE_COLUMNS = {
  Repository: "REPOSITORY",
  Tag: "TAG",
  ID: "IMAGE ID",
  CreatedSince: "CREATED",
  Size: "SIZE",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
  Containers: "CONTAINERS",
};
const CONTAINER_COLUMNS = {
  ID: "CONTAINER ID",
  Image: "IMAGE",
  Command: "COMMAND",
  LocalVolumes: "LOCAL VOLUMES",
  Size: "SIZE",
  RunningFor: "CREATED",
  Status: "STATUS",
  Names: "NAMES",
};
const VOLUME_COLUMNS = { Name: "VOLUME NAME", Links: "LINKS", Size: "SIZE" };
const CACHE_COLUMNS = {
  ID: "CACHE ID",
  Type: "CACHE TYPE",
  Size: "SIZE",
  CreatedSince: "CREATED",
  LastUsedSince: "LAST USED",
  UsageCount: "USAGE",
  Shared: "SHARED",
};

function imageRows(usage: DiskUsage, nowMs: number): Row[] {
  return (usage.ImageUsage?.Items ?? []).flatMap((image) => {
    const names = image.RepoTags.length > 0 ? image.RepoTags : ["<none>:<none>"];
    return names.map((name) => {
      const colon = name.lastIndexOf(":");
      return {
        Repository: name.slice(0, colon),
        Tag: name.slice(colon + 1),
        ID: image.Id.replace(/^sha256:/, "").slice(0, 12),
        CreatedSince: formatAgo(image.Created * 1000, nowMs),
        Size: formatSize(image.Size),
        SharedSize: formatSize(image.SharedSize),
        UniqueSize: formatSize(image.Size - image.SharedSize),
        Containers: String(image.Containers),
      };
    });
  });
}

function containerRows(usage: DiskUsage, nowMs: number): Row[] {
  return (usage.ContainerUsage?.Items ?? []).map((item) => ({
    ...containerRow(item, { truncate: true, nowMs }),
    Size: formatSize(item.SizeRw ?? 0, 3),
  }));
}

function volumeRows(usage: DiskUsage): Row[] {
  return (usage.VolumeUsage?.Items ?? []).map(({ Name: name, UsageData: data }) => ({
    Name: name,
    Links: String(data.RefCount),
    Size: formatSize(data.Size),
  }));
}
