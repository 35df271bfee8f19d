import { isNaruError, NaruError } from "../../base/mod.ts";
import type { EngineClient } from "../../sdk/mod.ts";
import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { failureLine } from "../explain.ts";
import { bool, text } from "../flags/flag.ts";
import { compileTemplate } from "../template/evaluate.ts";

export type InspectType = "" | "container" | "image" | "network" | "volume";

type Look = (engine: EngineClient, name: string, size: boolean) => Promise<unknown>;

const LOOKS: Readonly<Record<Exclude<InspectType, "">, Look>> = {
  container: (engine, name, size) => engine.containers.inspect(name, { size }),
  image: (engine, name) => engine.images.inspect(name),
  network: (engine, name) => engine.networks.inspect(name),
  volume: (engine, name) => engine.volumes.inspect(name),
};

/** `inspect` of one type, or of whatever has the name. */
export function inspectCommandOf(type: InspectType): Command {
  const noun = type === "" ? "NAME|ID" : type.toUpperCase();
  return {
    path: type === "" ? "inspect" : `${type} inspect`,
    usage: `${noun} [${noun}...]`,
    summary: "Return low-level information on engine objects",
    flags: [
      text("format", "f", "Format output: 'json' or a Go template"),
      bool("size", "s", "Display total file sizes if the type is container"),
      text(
        "type",
        "",
        "Only inspect objects of the given type: container, image, network, volume",
        {
          hidden: type !== "",
        },
      ),
    ],
    minArgs: 1,
    examples: ["inspect web", "inspect -f '{{.State.Pid}}' web"],
    async run({ context, values, args }) {
      const { io } = context;
      const asked = (type || values.string("type")) as InspectType;
      if (asked !== "" && !Object.hasOwn(LOOKS, asked)) {
        throw new ExitError(1, `"${asked}" is not a valid value for --type`);
      }
      const format = values.string("format");
      const template = format === "" || format === "json" ? undefined : compileTemplate(format);
      const engine = await context.engine();
      const found: unknown[] = [];
      let exitCode = 0;
      for (const name of args) {
        try {
          const object = await lookUp(engine, asked, name, values.bool("size"));
          found.push(object);
          if (template !== undefined) io.stdout.print(`${template.apply(object)}\n`);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          exitCode = 1;
          io.stderr.print(`${failureLine(error, context.program)}\n`);
        }
      }
      if (format === "json") io.stdout.print(`${JSON.stringify(found)}\n`);
      else if (template === undefined) io.stdout.print(`${JSON.stringify(found, null, 4)}\n`);
      return exitCode;
    },
  };
}

async function lookUp(
  engine: EngineClient,
  type: InspectType,
  name: string,
  size: boolean,
): Promise<unknown> {
  if (type !== "") return await LOOKS[type](engine, name, size);
  for (const look of Object.values(LOOKS)) {
    try {
      return await look(engine, name, size);
    } catch (error) {
      // An engine without volumes answers 501: the name is not one of its volumes.
      if (!isNaruError(error, "not_found") && !isNaruError(error, "unsupported")) throw error;
    }
  }
  throw new NaruError("not_found", `no such object: ${name}`);
}
