import { createReadStream } from "node:fs";
import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { bool, text } from "../flags/flag.ts";
import { formatAgo, formatSize } from "../output/human.ts";
import { printList, type Row } from "../output/list-output.ts";
import { saveTo } from "../output/save-to.ts";

const HEADERS: Row = {
  Volume: "VOLUME NAME",
  Name: "SNAPSHOT",
  CreatedAt: "CREATED AT",
  CreatedSince: "CREATED",
  Size: "SIZE",
};

export const volumeSnapshotCommand: Command = {
  path: "volume snapshot",
  usage: "VOLUME [SNAPSHOT]",
  summary: "Copy what a volume holds now, sharing blocks where the file system can",
  flags: [
    bool("pause", "p", "Pause the containers that run on the volume meanwhile", { preset: true }),
    bool("rm", "", "Remove the snapshot instead"),
  ],
  minArgs: 1,
  maxArgs: 2,
  examples: ["volume snapshot data", "volume snapshot data before-upgrade"],
  async run({ context, values, args: [volume = "", name = ""] }) {
    const engine = await context.engine();
    if (values.bool("rm")) {
      if (name === "") throw new ExitError(1, "--rm needs the name of a snapshot");
      await engine.volumes.removeSnapshot(volume, name);
      context.io.stdout.print(`${name}\n`);
      return 0;
    }
    const made = await engine.volumes.snapshot(volume, { name, pause: values.bool("pause") });
    context.io.stdout.print(`${made.Name}\n`);
    return 0;
  },
};

export const volumeSnapshotsCommand: Command = {
  path: "volume snapshots",
  usage: "[VOLUME]",
  summary: "List snapshots, the newest first; they outlive their volume",
  flags: [
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("quiet", "q", "Only display names"),
  ],
  minArgs: 0,
  maxArgs: 1,
  async run({ context, values, args: [volume = ""] }) {
    const engine = await context.engine();
    const nowMs = context.io.nowMs();
    const rows = (await engine.volumes.snapshots(volume)).map((one) => ({
      Volume: one.Volume,
      Name: one.Name,
      CreatedAt: one.CreatedAt,
      CreatedSince: formatAgo(Date.parse(one.CreatedAt), nowMs),
      Size: formatSize(one.Size, 3),
    }));
    const table = "{{.Volume}}\t{{.Name}}\t{{.CreatedSince}}\t{{.Size}}";
    const columns = { headers: HEADERS, table, idField: "Name" };
    const options = { format: values.string("format"), quiet: values.bool("quiet") };
    printList(context.io.stdout, rows, columns, options);
    return 0;
  },
};

export const volumeRestoreCommand: Command = {
  path: "volume restore",
  usage: "VOLUME SNAPSHOT",
  summary: "Give a volume the content of one of its snapshots",
  flags: [],
  minArgs: 2,
  maxArgs: 2,
  examples: ["volume restore data before-upgrade"],
  async run({ context, args: [volume = "", snapshot = ""] }) {
    const engine = await context.engine();
    await engine.volumes.restore(volume, snapshot);
    context.io.stdout.print(`${volume}\n`);
    return 0;
  },
};

export const volumeExportCommand: Command = {
  path: "volume export",
  usage: "VOLUME",
  summary: "Export what a volume holds as a tar archive",
  flags: [
    text("compress", "", "Compress with zstd or gzip; by default as the output's name ends"),
    text("output", "o", "Write to a file, instead of STDOUT"),
    text("snapshot", "", "Export this snapshot of the volume"),
  ],
  minArgs: 1,
  maxArgs: 1,
  examples: [
    "volume export -o data.tar.zst data",
    "volume export --snapshot monday data > data.tar",
  ],
  async run({ context, values, args: [volume = ""] }) {
    const { io } = context;
    const path = values.string("output");
    if (path === "" && io.stdout.isTty) {
      throw new ExitError(1, "cowardly refusing to save to a terminal: use -o or a redirection");
    }
    const compress = values.string("compress") || compressionOf(path);
    const engine = await context.engine();
    const snapshot = values.string("snapshot");
    const { body } = await engine.volumes.export(volume, { snapshot, compress });
    if (path !== "") await saveTo(path, body);
    else for await (const chunk of body) await io.stdout.write(chunk);
    return 0;
  },
};

function compressionOf(path: string): string {
  if (/\.(?:tzst|zst)$/.test(path)) return "zstd";
  return /\.(?:tgz|gz)$/.test(path) ? "gzip" : "";
}

export const volumeImportCommand: Command = {
  path: "volume import",
  usage: "VOLUME [FILE|-]",
  summary: "Fill a volume from a tar archive, plain or compressed",
  flags: [bool("replace", "", "Replace what the volume holds")],
  minArgs: 1,
  maxArgs: 2,
  examples: ["volume import data data.tar.zst", "volume import --replace data < data.tar"],
  async run({ context, values, args: [volume = "", file = "-"] }) {
    const { io } = context;
    if (file !== "-" && !(await Bun.file(file).exists())) {
      throw new ExitError(1, `open ${file}: no such file or directory`);
    }
    if (file === "-" && io.stdin.isTty) {
      throw new ExitError(1, "requested import from stdin, but stdin is a terminal: name a file");
    }
    const body =
      file === "-" ? io.stdin.chunks() : (createReadStream(file) as AsyncIterable<Uint8Array>);
    const engine = await context.engine();
    await engine.volumes.import(volume, body, { replace: values.bool("replace") });
    io.stdout.print(`${volume}\n`);
    return 0;
  },
};
