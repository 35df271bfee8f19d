import { formatReference, parseReference, withDefaultTag } from "../../oci/mod.ts";
import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { contentTrustFlag, refuseContentTrust } from "../flags/content-trust.ts";
import { bool, int, list, text } from "../flags/flag.ts";
import { parseFilters } from "../output/filter-flag.ts";
import { printList } from "../output/list-output.ts";
import { showProgress } from "../output/progress.ts";
import { pullImage, registryAuth, splitReference } from "./pull-image.ts";

export const pullCommand: Command = {
  path: "pull",
  usage: "NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  flags: [
    bool("all-tags", "a", "Download all tagged images in the repository"),
    contentTrustFlag("Skip image verification"),
    text("platform", "", "Set platform if server is multi-platform capable"),
    bool("quiet", "q", "Suppress verbose output"),
  ],
  minArgs: 1,
  maxArgs: 1,
  async run({ context, values, args: [name = ""] }) {
    refuseContentTrust(values);
    const { io } = context;
    const allTags = values.bool("all-tags");
    if (allTags && splitReference(name).tag !== "") {
      throw new ExitError(1, "tag can't be used with --all-tags/-a");
    }
    const platform = values.string("platform") || (io.environment["DOCKER_DEFAULT_PLATFORM"] ?? "");
    if (splitReference(name).tag === "" && !allTags && !values.bool("quiet")) {
      io.stdout.print("Using default tag: latest\n");
    }
    await pullImage(context, name, {
      platform,
      quiet: values.bool("quiet"),
      output: io.stdout,
      allTags,
    });
    const named = parseReference(name);
    io.stdout.print(`${formatReference(allTags ? named : withDefaultTag(named))}\n`);
    return 0;
  },
};

export const pushCommand: Command = {
  path: "push",
  usage: "NAME[:TAG]",
  summary: "Upload an image to a registry",
  flags: [
    bool("all-tags", "a", "Push all tags of an image to the repository"),
    contentTrustFlag("Skip image signing"),
    text("platform", "", 'Push a platform-specific manifest ("os[/arch[/variant]]")'),
    bool("quiet", "q", "Suppress verbose output"),
  ],
  minArgs: 1,
  maxArgs: 1,
  async run({ context, values, args: [name = ""] }) {
    refuseContentTrust(values);
    const { repo, tag } = splitReference(name);
    const allTags = values.bool("all-tags");
    if (allTags && tag !== "") throw new ExitError(1, "tag can't be used with --all-tags/-a");
    const engine = await context.engine();
    const messages = await engine.images.push({
      name: repo,
      tag: allTags ? "" : tag || "latest",
      platform: values.string("platform"),
      auth: await registryAuth(context, name),
    });
    await showProgress(messages, context.io.stdout, { quiet: values.bool("quiet") });
    return 0;
  },
};

export const searchCommand: Command = {
  path: "search",
  usage: "TERM",
  summary: "Search a registry for images",
  flags: [
    list("filter", "f", "Filter output based on conditions provided", { value: "filter" }),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    int("limit", "", "Max number of search results"),
    bool("no-trunc", "", "Don't truncate output"),
  ],
  minArgs: 1,
  maxArgs: 1,
  async run({ context, values, args: [term = ""] }) {
    const engine = await context.engine();
    const found = await engine.images.search(term, {
      limit: values.has("limit") ? values.int("limit") : undefined,
      filters: parseFilters(values.list("filter")),
    });
    const rows = found.map((item) => {
      const description = (item.description ?? "").replaceAll("\n", " ");
      const short = !values.bool("no-trunc") && description.length > 45;
      return {
        Description: short ? `${description.slice(0, 44)}…` : description,
        IsOfficial: item.is_official === true ? "[OK]" : "",
        Name: item.name,
        StarCount: String(item.star_count ?? 0),
      };
    });
    const headers = {
      Name: "NAME",
      Description: "DESCRIPTION",
      StarCount: "STARS",
      IsOfficial: "OFFICIAL",
    };
    const table = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
    const options = { format: values.string("format"), quiet: false };
    printList(context.io.stdout, rows, { headers, table, idField: "Name" }, options);
    return 0;
  },
};
