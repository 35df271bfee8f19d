import type { EngineClient, StopQuery } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import { bool, type Flag, int, text } from "../flags/flag.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { forEachName } from "./each.ts";

const STOP_FLAGS: readonly Flag[] = [
  text("signal", "s", "Signal to send to the container"),
  int("timeout", "t", "Seconds to wait before killing the container", { aliases: ["time"] }),
];

function stopQuery(values: FlagValues): StopQuery {
  return {
    signal: values.string("signal"),
    timeoutSeconds: values.has("timeout") ? values.int("timeout") : undefined,
  };
}

type Act = (
  invocation: Invocation,
  engine: Awaited<ReturnType<Invocation["context"]["engine"]>>,
  name: string,
) => Promise<string>;

/** A command that does the same to every named container. */
function command(
  path: string,
  summary: string,
  flags: readonly Flag[],
  act: Act,
  examples: readonly string[] = [],
): Command {
  return {
    path,
    usage: "CONTAINER [CONTAINER...]",
    summary,
    flags,
    minArgs: 1,
    examples,
    run: (invocation) =>
      forEachName(invocation.context, invocation.args, (engine, name) =>
        act(invocation, engine, name),
      ),
  };
}

export const stopCommand: Command = command(
  "stop",
  "Stop one or more running containers",
  STOP_FLAGS,
  async ({ values }, engine, name) => {
    await engine.containers.stop(name, stopQuery(values));
    return name;
  },
  ["stop web", "stop -t 2 web db"],
);

export const restartCommand: Command = command(
  "restart",
  "Restart one or more containers",
  STOP_FLAGS,
  async ({ values }, engine, name) => {
    await engine.containers.restart(name, stopQuery(values));
    return name;
  },
);

export const killCommand: Command = command(
  "kill",
  "Kill one or more running containers",
  [text("signal", "s", "Signal to send to the container")],
  async ({ values }, engine, name) => {
    await engine.containers.kill(name, values.string("signal") || "SIGKILL");
    return name;
  },
  ["kill -s HUP web"],
);

export const pauseCommand: Command = command(
  "pause",
  "Pause all processes within one or more containers",
  [],
  async (_, engine, name) => {
    await engine.containers.pause(name);
    return name;
  },
);

export const unpauseCommand: Command = command(
  "unpause",
  "Unpause all processes within one or more containers",
  [],
  async (_, engine, name) => {
    await engine.containers.unpause(name);
    return name;
  },
);

export const waitCommand: Command = command(
  "wait",
  "Block until one or more containers stop, then print their exit codes",
  [],
  async (_, engine, name) => {
    const wait = await engine.containers.wait(name, "not-running");
    return String((await wait.result).exitCode);
  },
);

export const rmCommand: Command = command(
  "rm",
  "Remove one or more containers",
  [
    bool("force", "f", "Force the removal of a running container (uses SIGKILL)"),
    bool("link", "l", "Remove the specified link"),
    bool("volumes", "v", "Remove anonymous volumes associated with the container"),
  ],
  async ({ values }, engine, name) => {
    const options = {
      force: values.bool("force"),
      link: values.bool("link"),
      volumes: values.bool("volumes"),
    };
    try {
      await engine.containers.remove(name.replace(/^\//, ""), options);
    } catch (error) {
      // As docker: what --force is to remove may be gone already.
      const { isNaruError } = await import("../../base/mod.ts");
      if (!options.force || !isNaruError(error, "not_found")) throw error;
      return "";
    }
    return name;
  },
  ["rm web", "rm -f $(naru ps -aq)"],
);

export const renameCommand: Command = {
  path: "rename",
  usage: "CONTAINER NEW_NAME",
  summary: "Rename a container",
  flags: [],
  minArgs: 2,
  maxArgs: 2,
  async run({ context, args: [name = "", newName = ""] }) {
    const rename = async (engine: EngineClient): Promise<string> => {
      await engine.containers.rename(name, newName);
      return "";
    };
    return await forEachName(context, [name], rename, {
      dockerSummary: () => `failed to rename container named ${name}`,
    });
  },
};
