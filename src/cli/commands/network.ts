import type { Command } from "../command.ts";
import { bool, list, text } from "../flags/flag.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { printList, type Row } from "../output/list-output.ts";

const HEADERS: Row = {
  ID: "NETWORK ID",
  Name: "NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  IPv6: "IPV6",
  Internal: "INTERNAL",
  Labels: "LABELS",
  CreatedAt: "CREATED AT",
  Label: (name: unknown): string => String(name),
};

export const networkListCommand: Command = {
  path: "network ls",
  usage: "",
  summary: "List networks",
  flags: [
    list("filter", "f", "Provide filter values", { value: "filter" }),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("no-trunc", "", "Do not truncate the output"),
    bool("quiet", "q", "Only display network IDs"),
  ],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const engine = await context.engine();
    const networks = await engine.networks.list(parseFilters(values.list("filter")));
    const rows = networks.map((network) => {
      const labels = network.Labels ?? {};
      return {
        CreatedAt: network.Created,
        Driver: network.Driver,
        ID: values.bool("no-trunc") ? network.Id : network.Id.slice(0, 12),
        IPv6: String(network.EnableIPv6),
        Internal: String(network.Internal),
        Labels: Object.entries(labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(","),
        Name: network.Name,
        Scope: network.Scope,
        Label: (name: unknown): string => labels[String(name)] ?? "",
      };
    });
    rows.sort((a, b) => (a.Name < b.Name ? -1 : 1));
    const quiet = values.bool("quiet");
    const format = values.string("format") || (quiet ? "" : (context.config.networksFormat ?? ""));
    const table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
    printList(
      context.io.stdout,
      rows,
      { headers: HEADERS, table, idField: "ID" },
      { format, quiet },
    );
    return 0;
  },
};
