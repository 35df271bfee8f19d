import type { ContainerSummary, PortSummary } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import { bool, int, list, text } from "../flags/flag.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { formatAgo, formatGoTime, formatSize } from "../output/human.ts";
import { printList, type Row } from "../output/list-output.ts";

const TABLE =
  "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const COMMAND_WIDTH = 20; // docker's, so that a table fits an ordinary terminal

const HEADERS: Row = {
  ID: "CONTAINER ID",
  Image: "IMAGE",
  Command: "COMMAND",
  CreatedAt: "CREATED AT",
  RunningFor: "CREATED",
  Ports: "PORTS",
  State: "STATE",
  Status: "STATUS",
  Size: "SIZE",
  Names: "NAMES",
  Labels: "LABELS",
  Mounts: "MOUNTS",
  LocalVolumes: "LOCAL VOLUMES",
  Networks: "NETWORKS",
  Label: (name: unknown): string => String(name),
};

// Not base's own: that file loads node:crypto, which takes 2 ms of the start.
function shortId(id: string): string {
  return id.slice(0, 12);
}

/** `0.0.0.0` before `::`. */
const byText = (a: string, b: string): number => Number(a > b) - Number(a < b);

/** Consecutive ports share an entry: `0.0.0.0:8000-8002->9000-9002/tcp`. */
export function formatPorts(ports: readonly PortSummary[]): string {
  const sorted = [...ports].sort(
    (a, b) =>
      a.Type.localeCompare(b.Type) ||
      byText(a.IP ?? "", b.IP ?? "") ||
      a.PrivatePort - b.PrivatePort ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0),
  );
  const runs: { first: PortSummary; last: PortSummary }[] = [];
  for (const port of sorted) {
    const run = runs.at(-1);
    const follows =
      run !== undefined &&
      run.last.Type === port.Type &&
      run.last.IP === port.IP &&
      port.PrivatePort === run.last.PrivatePort + 1 &&
      (port.PublicPort === undefined
        ? run.last.PublicPort === undefined
        : port.PublicPort === (run.last.PublicPort ?? -2) + 1);
    if (follows) run.last = port;
    else runs.push({ first: port, last: port });
  }
  return runs.map(({ first, last }) => runText(first, last)).join(", ");
}

function runText(first: PortSummary, last: PortSummary): string {
  const range = (a: number, b: number): string => (a === b ? String(a) : `${a}-${b}`);
  const inside = `${range(first.PrivatePort, last.PrivatePort)}/${first.Type}`;
  if (first.PublicPort === undefined) return inside;
  const ip = first.IP ?? "";
  const host = ip.includes(":") ? `[${ip}]` : ip;
  return `${host}:${range(first.PublicPort, last.PublicPort ?? first.PublicPort)}->${inside}`;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** The fields of one container, as templates name them. */
export function containerRow(
  item: ContainerSummary,
  options: { truncate: boolean; nowMs: number },
): Row {
  const { truncate } = options;
  const createdMs = item.Created * 1000;
  const names = item.Names.map((name) => name.replace(/^\//, ""));
  // With links a container has names like /other/alias; docker shows its own alone.
  const own = truncate ? names.filter((name) => !name.includes("/")) : names;
  const mounts = item.Mounts.map((mount) => mount.Name ?? mount.Source);
  const labels = item.Labels ?? {};
  return {
    Command: `"${truncate ? cut(item.Command, COMMAND_WIDTH) : item.Command}"`,
    CreatedAt: formatGoTime(createdMs),
    ID: truncate ? shortId(item.Id) : item.Id,
    Image: imageName(item, truncate),
    Labels: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    LocalVolumes: String(item.Mounts.filter((mount) => mount.Driver === "local").length),
    Mounts: mounts.map((mount) => (truncate ? cut(mount, 15) : mount)).join(","),
    Names: own.join(","),
    Networks: Object.keys(item.NetworkSettings?.Networks ?? {}).join(","),
    Ports: formatPorts(item.Ports ?? []),
    RunningFor: formatAgo(createdMs, options.nowMs),
    Size:
      item.SizeRw === undefined && item.SizeRootFs === undefined
        ? "0B"
        : `${formatSize(item.SizeRw ?? 0, 3)} (virtual ${formatSize(item.SizeRootFs ?? 0, 3)})`,
    State: item.State,
    Status: item.Status,
    Label: (name: unknown): string => labels[String(name)] ?? "",
  };
}

function imageName(item: ContainerSummary, truncate: boolean): string {
  if (item.Image === "") return "<no image>";
  if (!truncate) return item.Image;
  return shortId(item.Image.startsWith("sha256:") ? item.Image.slice(7) : "") || item.Image;
}

export const psCommand: Command = {
  path: "ps",
  usage: "",
  summary: "List containers",
  flags: [
    bool("all", "a", "Show all containers (default shows just running)"),
    list("filter", "f", "Filter output based on conditions provided", { value: "filter" }),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    int("last", "n", "Show n last created containers (includes all states)", { preset: "-1" }),
    bool("latest", "l", "Show the latest created container (includes all states)"),
    bool("no-trunc", "", "Don't truncate output"),
    bool("quiet", "q", "Only display container IDs"),
    bool("size", "s", "Display total file sizes"),
  ],
  minArgs: 0,
  maxArgs: 0,
  examples: ["ps -a", "ps --filter status=exited -q", "ps --format '{{.Names}}: {{.Status}}'"],
  async run({ context, values }) {
    const { io } = context;
    const engine = await context.engine();
    const size = values.bool("size");
    const quiet = values.bool("quiet");
    const format = values.string("format") || (quiet ? "" : (context.config.psFormat ?? ""));
    const limit = values.bool("latest") ? 1 : values.int("last");
    const items = await engine.containers.list({
      all: values.bool("all"),
      size: size || /\{\{[^}]*\.Size\b/.test(format),
      filters: parseFilters(values.list("filter")),
      ...(limit > 0 ? { limit } : {}),
    });
    const nowMs = io.nowMs();
    const rows = items.map((item) =>
      containerRow(item, { truncate: !values.bool("no-trunc"), nowMs }),
    );
    const table = size ? `${TABLE}\t{{.Size}}` : TABLE;
    printList(io.stdout, rows, { headers: HEADERS, table, idField: "ID" }, { format, quiet });
    return 0;
  },
};
