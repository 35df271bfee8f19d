import type { Command } from "../command.ts";
import { ExitError } from "../exit-error.ts";
import { bool, text } from "../flags/flag.ts";
import { joinStreams } from "../session/attached-stream.ts";
import { terminalFor } from "./terminal-for.ts";

export const attachCommand: Command = {
  path: "attach",
  usage: "CONTAINER",
  summary: "Attach local standard input, output, and error streams to a running container",
  flags: [
    text("detach-keys", "", "Override the key sequence for detaching a container"),
    bool("no-stdin", "", "Do not attach STDIN"),
    bool("sig-proxy", "", "Proxy all received signals to the process", { preset: true }),
  ],
  minArgs: 1,
  maxArgs: 1,
  examples: ["attach shell", "attach --no-stdin web"],
  async run({ context, values, args: [name = ""] }) {
    const engine = await context.engine();
    const found = await engine.containers.inspect(name);
    const { State: state, Config: config } = found;
    if (!state.Running) {
      throw new ExitError(1, "cannot attach to a stopped container, start it first");
    }
    if (state.Paused)
      throw new ExitError(1, "cannot attach to a paused container, unpause it first");
    if (state.Restarting) {
      throw new ExitError(1, "cannot attach to a restarting container, wait until it is running");
    }
    const stdin = !values.bool("no-stdin") && config.OpenStdin;
    if (config.Tty && stdin && !context.io.stdin.isTty) {
      throw new ExitError(1, "the input device is not a TTY");
    }
    const detachKeys = values.string("detach-keys") || context.config.detachKeys;
    const attached = { tty: config.Tty, stdin, stdout: true, stderr: true, detachKeys };
    const wait = await engine.containers.wait(found.Id, "not-running");
    const stream = await engine.containers.attach(found.Id, { ...attached, stream: true });
    await using cleanup = new AsyncDisposableStack();
    const sigProxy = values.bool("sig-proxy") && !config.Tty;
    await terminalFor(context, engine, found.Id, { ...attached, sigProxy }, cleanup);
    if ((await joinStreams(context.io, stream, attached)) === "detached") {
      context.io.stderr.print("read escape sequence\n");
      return 0;
    }
    return (await wait.result).exitCode;
  },
};
