import type { EngineClient } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import { readEnvironment } from "../container/client-files.ts";
import type { CliContext } from "../context.ts";
import { ExitError } from "../exit-error.ts";
import { bool, list, text } from "../flags/flag.ts";
import { joinStreams } from "../session/attached-stream.ts";

export const execCommand: Command = {
  path: "exec",
  usage: "CONTAINER COMMAND [ARG...]",
  summary: "Execute a command in a running container",
  flags: [
    bool("detach", "d", "Detached mode: run command in the background"),
    text("detach-keys", "", "Override the key sequence for detaching a container"),
    list("env", "e", "Set environment variables"),
    list("env-file", "", "Read in a file of environment variables"),
    bool("interactive", "i", "Keep STDIN open even if not attached"),
    bool("privileged", "", "Give extended privileges to the command"),
    bool("tty", "t", "Allocate a pseudo-TTY"),
    text("user", "u", 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
    text("workdir", "w", "Working directory inside the container"),
  ],
  minArgs: 2,
  stopAtArgument: true,
  examples: ["exec -it web sh", "exec -e A=1 -w /tmp web env"],
  async run({ context, values, args }: Invocation): Promise<number> {
    const { io } = context;
    const [name = "", ...command] = args;
    const detach = values.bool("detach");
    const tty = values.bool("tty");
    const stdin = values.bool("interactive") && !detach;
    if (tty && stdin && !io.stdin.isTty) {
      throw new ExitError(
        1,
        "the input device is not a TTY: leave -t out to send input from a pipe",
      );
    }
    const env = readEnvironment(values.list("env-file"), values.list("env"), io.environment);
    const rows = tty ? io.stdout.rows() : undefined;
    const size: [number, number] | undefined =
      rows === undefined ? undefined : [rows, io.stdout.columns() ?? 80];
    const detachKeys = values.string("detach-keys") || context.config.detachKeys;
    const engine = await context.engine();
    const { Id: id } = await engine.exec.create(name, {
      User: values.string("user"),
      Privileged: values.bool("privileged"),
      Tty: tty,
      ...(size === undefined ? {} : { ConsoleSize: size }),
      AttachStdin: stdin,
      AttachStdout: !detach,
      AttachStderr: !detach,
      DetachKeys: detachKeys ?? "",
      Env: env.length > 0 ? env : null,
      WorkingDir: values.string("workdir"),
      Cmd: command,
    });
    if (detach) {
      await engine.exec.startDetached(id, { Tty: tty });
      return 0;
    }
    return await execAttached(context, engine, { id, tty, stdin, size, detachKeys });
  },
};

async function execAttached(
  context: CliContext,
  engine: EngineClient,
  exec: {
    id: string;
    tty: boolean;
    stdin: boolean;
    size: [number, number] | undefined;
    detachKeys: string | undefined;
  },
): Promise<number> {
  const { io } = context;
  const { id, tty, stdin } = exec;
  const stream = await engine.exec.start(id, { Tty: tty, ConsoleSize: exec.size });
  await using cleanup = new AsyncDisposableStack();
  if (tty) {
    const terminal = await import("../session/terminal.ts");
    if (stdin && io.stdin.isTty) cleanup.use(await terminal.rawTerminal(io));
    if (io.stdout.isTty) {
      cleanup.use(terminal.followSize(io, (size) => engine.exec.resize(id, size)));
    }
  }
  const attached = { tty, stdin, stdout: true, stderr: true, detachKeys: exec.detachKeys };
  if ((await joinStreams(io, stream, attached)) === "detached") return 0;
  return (await engine.exec.inspect(id)).ExitCode ?? 0;
}
