import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { bool, list, text } from "../flags/flag.ts";
import { saveTo } from "../output/save-to.ts";
import { splitReference } from "./pull-image.ts";

const KINDS: readonly string[] = ["C", "A", "D"];

export const diffCommand: Command = {
  path: "diff",
  usage: "CONTAINER",
  summary: "Inspect changes to files or directories on a container's filesystem",
  flags: [],
  minArgs: 1,
  maxArgs: 1,
  examples: ["diff web"],
  async run({ context, args: [name = ""] }) {
    const engine = await context.engine();
    for (const { Path, Kind } of await engine.files.changes(name)) {
      context.io.stdout.print(`${KINDS[Kind] ?? "?"} ${Path}\n`);
    }
    return 0;
  },
};

export const exportCommand: Command = {
  path: "export",
  usage: "CONTAINER",
  summary: "Export a container's filesystem as a tar archive",
  flags: [text("output", "o", "Write to a file, instead of STDOUT")],
  minArgs: 1,
  maxArgs: 1,
  examples: ["export -o root.tar web", "export web | tar t"],
  async run({ context, values, args: [name = ""] }) {
    const { io } = context;
    const path = values.string("output");
    if (path === "" && io.stdout.isTty) {
      throw new ExitError(1, "cowardly refusing to save to a terminal: use -o or a redirection");
    }
    const engine = await context.engine();
    const response = await engine.files.export(name);
    if (path !== "") {
      await saveTo(path, response.body);
      return 0;
    }
    for await (const chunk of response.body) await io.stdout.write(chunk);
    return 0;
  },
};

export const commitCommand: Command = {
  path: "commit",
  usage: "CONTAINER [REPOSITORY[:TAG]]",
  summary: "Create a new image from a container's changes",
  flags: [
    text("author", "a", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
    list("change", "c", "Apply Dockerfile instruction to the created image"),
    text("message", "m", "Commit message"),
    bool("no-pause", "", "Disable pausing container during commit"),
    bool("pause", "p", "Pause container during commit", { preset: true, hidden: true }),
  ],
  minArgs: 1,
  maxArgs: 2,
  examples: ["commit web my/web:patched", "commit -c 'CMD [\"sh\"]' web"],
  async run({ context, values, args: [name = "", reference = ""] }) {
    const engine = await context.engine();
    const { repo, tag } = splitReference(reference);
    const made = await engine.files.commit(name, {
      repo,
      tag,
      comment: values.string("message"),
      author: values.string("author"),
      changes: values.list("change"),
      pause: values.bool("pause") && !values.bool("no-pause"),
    });
    context.io.stdout.print(`${made.Id}\n`);
    return 0;
  },
};
