import type { ImageSummary } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import { bool, list, text } from "../flags/flag.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { formatAgo, formatGoTime, formatSize } from "../output/human.ts";
import { printList, type Row } from "../output/list-output.ts";
import { forEachName } from "./each.ts";
import { splitReference } from "./pull-image.ts";

const HEADERS: Row = {
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  ID: "IMAGE ID",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
  VirtualSize: "SIZE",
  Containers: "CONTAINERS",
};
const TABLE = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const DIGEST_TABLE =
  "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const NONE = "<none>";

function shortImageId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

function imageRows(image: ImageSummary, options: { truncate: boolean; nowMs: number }): Row[] {
  const tags = (image.RepoTags ?? []).filter((tag) => tag !== "<none>:<none>");
  const digests = (image.RepoDigests ?? []).filter((digest) => digest !== "<none>@<none>");
  const digestOf = (repo: string): string =>
    digests.find((digest) => digest.startsWith(`${repo}@`))?.slice(repo.length + 1) ?? NONE;
  const named =
    tags.length > 0
      ? tags.map((tag) => splitReference(tag)).map(({ repo, tag }) => [repo, tag, digestOf(repo)])
      : digests.length > 0
        ? digests.map((digest) => splitReference(digest)).map(({ repo, tag }) => [repo, NONE, tag])
        : [[NONE, NONE, NONE]];
  const createdMs = image.Created * 1000;
  return named.map(([repo, tag, digest]) => ({
    Containers: image.Containers < 0 ? "N/A" : String(image.Containers),
    CreatedAt: formatGoTime(createdMs),
    CreatedSince: image.Created <= 0 ? "N/A" : formatAgo(createdMs, options.nowMs),
    Digest: digest,
    ID: options.truncate ? shortImageId(image.Id) : image.Id,
    Repository: repo,
    SharedSize: image.SharedSize < 0 ? "N/A" : formatSize(image.SharedSize, 3),
    Size: formatSize(image.Size, 3),
    Tag: tag,
    UniqueSize: image.SharedSize < 0 ? "N/A" : formatSize(image.Size - image.SharedSize, 3),
    VirtualSize: formatSize(image.Size, 3),
  }));
}

export const imagesCommand: Command = {
  path: "images",
  usage: "[REPOSITORY[:TAG]]",
  summary: "List images",
  flags: [
    bool("all", "a", "Show all images (default hides intermediate images)"),
    bool("digests", "", "Show digests"),
    list("filter", "f", "Filter output based on conditions provided", { value: "filter" }),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("no-trunc", "", "Don't truncate output"),
    bool("quiet", "q", "Only show image IDs"),
  ],
  minArgs: 0,
  maxArgs: 1,
  examples: ["images", "images --filter dangling=true -q"],
  async run({ context, values, args: [reference] }) {
    const { io } = context;
    const quiet = values.bool("quiet");
    const filters = new Map(parseFilters(values.list("filter")));
    if (reference !== undefined) filters.set("reference", [reference]);
    const engine = await context.engine();
    const digests = values.bool("digests");
    const images = await engine.images.list({ all: values.bool("all"), digests, filters });
    const options = { truncate: !values.bool("no-trunc"), nowMs: io.nowMs() };
    const rows = images.flatMap((image) => imageRows(image, options));
    const format = values.string("format") || (quiet ? "" : (context.config.imagesFormat ?? ""));
    const table = digests ? DIGEST_TABLE : TABLE;
    printList(io.stdout, rows, { headers: HEADERS, table, idField: "ID" }, { format, quiet });
    return 0;
  },
};

export const historyCommand: Command = {
  path: "history",
  usage: "IMAGE",
  summary: "Show the history of an image",
  flags: [
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("human", "H", "Print sizes and dates in human readable format", { preset: true }),
    bool("no-trunc", "", "Don't truncate output"),
    text("platform", "", 'Show history for the given platform ("os[/arch[/variant]]")'),
    bool("quiet", "q", "Only show image IDs"),
  ],
  minArgs: 1,
  maxArgs: 1,
  async run({ context, values, args: [name = ""] }) {
    const { io } = context;
    const engine = await context.engine();
    const items = await engine.images.history(name, values.string("platform"));
    const human = values.bool("human");
    const truncate = !values.bool("no-trunc");
    const rows = items.map((item) => {
      const command = item.CreatedBy.replaceAll("\t", " ");
      const createdMs = item.Created * 1000;
      return {
        Comment: item.Comment,
        CreatedAt: new Date(createdMs).toISOString().replace(/\.000Z$/, "Z"),
        CreatedBy: truncate && command.length > 45 ? `${command.slice(0, 44)}…` : command,
        CreatedSince: human ? formatAgo(createdMs, io.nowMs()) : new Date(createdMs).toISOString(),
        ID: truncate && item.Id.startsWith("sha256:") ? shortImageId(item.Id) : item.Id,
        Size: human ? formatSize(item.Size, 3) : String(item.Size),
      };
    });
    const headers = {
      ID: "IMAGE",
      CreatedSince: "CREATED",
      CreatedAt: "CREATED AT",
      CreatedBy: "CREATED BY",
      Size: "SIZE",
      Comment: "COMMENT",
    };
    const table = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
    const options = { format: values.string("format"), quiet: values.bool("quiet") };
    printList(io.stdout, rows, { headers, table, idField: "ID" }, options);
    return 0;
  },
};

export const tagCommand: Command = {
  path: "tag",
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  flags: [],
  minArgs: 2,
  maxArgs: 2,
  async run({ context, args: [source = "", target = ""] }) {
    const engine = await context.engine();
    const { repo, tag } = splitReference(target);
    await engine.images.tag(source, { repo, tag: tag || "latest" });
    return 0;
  },
};

export const rmiCommand: Command = {
  path: "rmi",
  usage: "IMAGE [IMAGE...]",
  summary: "Remove one or more images",
  flags: [
    bool("force", "f", "Force removal of the image"),
    bool("no-prune", "", "Do not delete untagged parents"),
    list("platform", "", 'Remove only the given platform variant ("os[/arch[/variant]]")'),
  ],
  minArgs: 1,
  run({ context, values, args }) {
    const options = {
      force: values.bool("force"),
      noprune: values.bool("no-prune"),
      platforms: values.list("platform"),
    };
    return forEachName(context, args, async (engine, name) => {
      const items = await engine.images.remove(name, options);
      return items
        .map((item) =>
          "Deleted" in item ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`,
        )
        .join("\n");
    });
  },
};
