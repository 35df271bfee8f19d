import type { Command } from "../command.ts";
import { bool } from "../flags/flag.ts";
import { formatSize } from "../output/human.ts";

export const imageVerifyCommand: Command = {
  path: "image verify",
  usage: "",
  summary: "Compare every stored byte with its digest; mend from the registries what is wrong",
  flags: [
    bool("no-repair", "", "Only look"),
    bool("quiet", "q", "Print the digests of what is wrong, and nothing else"),
  ],
  minArgs: 0,
  maxArgs: 0,
  examples: ["image verify", "image verify --no-repair"],
  async run({ context, values }) {
    const { stdout } = context.io;
    const engine = await context.engine();
    let [count, bytes, bad] = [0, 0, 0];
    for await (const found of await engine.images.verify({ repair: !values.bool("no-repair") })) {
      count += 1;
      bytes += found.Size;
      if (found.State === "good") continue;
      if (found.State !== "repaired") bad += 1;
      if (values.bool("quiet")) {
        stdout.print(`${found.Digest}\n`);
        continue;
      }
      const why = found.Problem === undefined ? "" : ` (not repaired: ${found.Problem})`;
      stdout.print(`${found.Digest}: ${found.State}${why}; needed by ${found.Images.join(", ")}\n`);
    }
    if (!values.bool("quiet")) {
      const result = bad === 0 ? "all good" : `${bad} bad: pull or load these images again`;
      stdout.print(`${count} blobs, ${formatSize(bytes)}: ${result}\n`);
    }
    return bad === 0 ? 0 : 1;
  },
};

export const imageCollectCommand: Command = {
  path: "image gc",
  usage: "",
  summary: "Remove blobs and layers that nothing needs; --dry-run says why the others stay",
  flags: [bool("dry-run", "n", "Remove nothing, and say of each thing why it is kept")],
  minArgs: 0,
  maxArgs: 0,
  async run({ context, values }) {
    const { stdout } = context.io;
    const engine = await context.engine();
    if (!values.bool("dry-run")) {
      const { Blobs, Layers, SpaceReclaimed } = await engine.images.collect();
      stdout.print(`removed ${Blobs} blobs and ${Layers} layers: ${formatSize(SpaceReclaimed)}\n`);
      return 0;
    }
    let [count, bytes] = [0, 0];
    for await (const { Kind, Digest, Size, Why } of await engine.images.stored()) {
      const reason = Why.length === 0 ? "garbage" : `kept: ${[...new Set(Why)].join("; ")}`;
      stdout.print(`${Kind.padEnd(5)} ${Digest} ${formatSize(Size, 3).padStart(8)} ${reason}\n`);
      if (Why.length > 0) continue;
      count += 1;
      bytes += Size;
    }
    stdout.print(`would remove ${count}: ${formatSize(bytes)}\n`);
    return 0;
  },
};
