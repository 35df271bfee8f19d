import { createReadStream } from "node:fs";
import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { bool, list, text } from "../flags/flag.ts";
import type { CliIo } from "../io.ts";
import { showProgress } from "../output/progress.ts";
import { saveTo } from "../output/save-to.ts";
import { splitReference } from "./pull-image.ts";

function inputOf(io: CliIo, path: string, flag: string): AsyncIterable<Uint8Array> {
  if (path !== "") return createReadStream(path) as AsyncIterable<Uint8Array>;
  if (io.stdin.isTty) {
    throw new ExitError(
      1,
      `requested load from stdin, but stdin is a terminal: use ${flag} or a redirection`,
    );
  }
  return io.stdin.chunks();
}

export const loadCommand: Command = {
  path: "load",
  usage: "",
  summary: "Load an image from a tar archive or STDIN",
  flags: [
    text("input", "i", "Read from tar archive file, instead of STDIN"),
    text("platform", "", 'Load only the given platform ("os[/arch[/variant]]")'),
    bool("quiet", "q", "Suppress the load output"),
  ],
  minArgs: 0,
  maxArgs: 0,
  examples: ["load -i image.tar", "load < image.tar.gz"],
  async run({ context, values }) {
    const { io } = context;
    const quiet = values.bool("quiet");
    const path = values.string("input");
    if (path !== "" && !(await Bun.file(path).exists())) {
      throw new ExitError(1, `open ${path}: no such file or directory`);
    }
    const input = inputOf(io, path, "-i");
    const engine = await context.engine();
    const platform = values.string("platform");
    // Docker prints what was loaded even with -q; only the bars are left out.
    const messages = await engine.images.load(input, {
      quiet: quiet || !io.stdout.isTty,
      platform,
    });
    await showProgress(messages, io.stdout, { quiet: false });
    return 0;
  },
};

export const importCommand: Command = {
  path: "import",
  usage: "file|URL|- [REPOSITORY[:TAG]]",
  summary: "Import the contents from a tarball to create a filesystem image",
  flags: [
    list("change", "c", "Apply Dockerfile instruction to the created image"),
    text("message", "m", "Set commit message for imported image"),
    text("platform", "", "Set platform if server is multi-platform capable"),
  ],
  minArgs: 1,
  maxArgs: 2,
  examples: ["import root.tar my/base", "import -c 'CMD [\"sh\"]' - my/base < root.tar"],
  async run({ context, values, args: [source = "", reference = ""] }) {
    const { io } = context;
    const remote = /^https?:\/\//.test(source);
    const path = source === "-" ? "" : source;
    if (!remote && path !== "" && !(await Bun.file(path).exists())) {
      throw new ExitError(1, `open ${path}: no such file or directory`);
    }
    const { repo, tag } = splitReference(reference);
    const engine = await context.engine();
    const messages = await engine.images.import(remote ? undefined : inputOf(io, path, "a file"), {
      source: remote ? source : "-",
      repo,
      tag,
      message: values.string("message"),
      changes: values.list("change"),
      platform: values.string("platform"),
    });
    await showProgress(messages, io.stdout, { quiet: false });
    return 0;
  },
};

export const saveCommand: Command = {
  path: "save",
  usage: "IMAGE [IMAGE...]",
  summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  flags: [
    text("output", "o", "Write to a file, instead of STDOUT"),
    list("platform", "", 'Save only the given platform ("os[/arch[/variant]]")'),
  ],
  minArgs: 1,
  examples: ["save -o image.tar busybox", "save busybox | gzip > image.tar.gz"],
  async run({ context, values, args }) {
    const { io } = context;
    const path = values.string("output");
    if (path === "" && io.stdout.isTty) {
      throw new ExitError(1, "cowardly refusing to save to a terminal: use -o or a redirection");
    }
    const engine = await context.engine();
    const response = await engine.images.save(args, { platforms: values.list("platform") });
    if (path === "") {
      for await (const chunk of response.body) await io.stdout.write(chunk);
      return 0;
    }
    await saveTo(path, response.body);
    return 0;
  },
};
