import type { EngineClient } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { bool, text } from "../flags/flag.ts";
import { joinStreams } from "../session/attached-stream.ts";
import { forEachName } from "./each.ts";
import { terminalFor } from "./terminal-for.ts";

export const startCommand: Command = {
  path: "start",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  flags: [
    bool("attach", "a", "Attach STDOUT/STDERR and forward signals"),
    text("detach-keys", "", "Override the key sequence for detaching a container"),
    bool("interactive", "i", "Attach container's STDIN"),
    text("checkpoint", "", "Restore from this checkpoint", { hidden: true }),
    text("checkpoint-dir", "", "Use a custom checkpoint storage directory", { hidden: true }),
  ],
  minArgs: 1,
  examples: ["start web", "start -ai shell"],
  async run(invocation) {
    const { values } = invocation;
    for (const name of ["checkpoint", "checkpoint-dir"]) {
      if (values.has(name)) throw new ExitError(1, `--${name} is not supported by this client`);
    }
    if (values.bool("attach") || values.bool("interactive")) return await startAttached(invocation);
    const start = async (engine: EngineClient, name: string): Promise<string> => {
      await engine.containers.start(name);
      return name;
    };
    return await forEachName(invocation.context, invocation.args, start, {
      dockerSummary: (failed) => `failed to start containers: ${failed.join(", ")}`,
    });
  },
};

async function startAttached({ context, values, args }: Invocation): Promise<number> {
  const [name = ""] = args;
  if (args.length > 1)
    throw new ExitError(1, "you cannot start and attach multiple containers at once");
  const engine = await context.engine();
  const found = await engine.containers.inspect(name);
  const { Tty: tty, AttachStdin, OpenStdin } = found.Config;
  const detachKeys = values.string("detach-keys") || context.config.detachKeys;
  const attached = {
    tty,
    stdin: values.bool("interactive") && (OpenStdin || AttachStdin),
    stdout: true,
    stderr: true,
    detachKeys,
  };
  const [stream, wait] = await Promise.all([
    engine.containers.attach(found.Id, { ...attached, stream: true }),
    engine.containers.wait(found.Id, found.HostConfig.AutoRemove ? "removed" : "next-exit"),
  ]);
  await using cleanup = new AsyncDisposableStack();
  await terminalFor(context, engine, found.Id, { ...attached, sigProxy: !tty }, cleanup);
  const output = joinStreams(context.io, stream, attached);
  output.catch(() => undefined);
  try {
    await engine.containers.start(found.Id, { detachKeys });
  } catch (error) {
    stream.close();
    await output.catch(() => undefined);
    throw error;
  }
  if ((await output) === "detached") {
    context.io.stderr.print("read escape sequence\n");
    return 0;
  }
  return (await wait.result).exitCode;
}
