import type { EngineClient } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import { RUN_FLAGS } from "../container/container-flags.ts";
import { type CreateRequest, createRequestOf } from "../container/create-request.ts";
import type { CliContext } from "../context.ts";
import { ExitError } from "../exit-error.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { type AttachedOptions, joinStreams } from "../session/attached-stream.ts";
import { createContainer, refuseApiSocket } from "./create.ts";
import { failStart } from "./start-failure.ts";
import { terminalFor } from "./terminal-for.ts";

export const runCommand: Command = {
  path: "run",
  usage: "IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  flags: RUN_FLAGS,
  minArgs: 1,
  stopAtArgument: true,
  examples: [
    "run --rm -it busybox sh",
    "run -d --name web -p 8080:80 nginx",
    "run --rm -v $PWD:/src -w /src -m 512m --cpus 1.5 debian make",
    "run --rm -i busybox wc -c < file",
  ],
  async run({ context, values, args }: Invocation): Promise<number> {
    const progress = { started: false };
    try {
      refuseApiSocket(values);
      const { io } = context;
      const detach = values.bool("detach");
      const tty = values.bool("tty");
      if (tty && values.bool("interactive") && !detach && !io.stdin.isTty) {
        throw new ExitError(
          1,
          "the input device is not a TTY: leave -t out to send input from a pipe",
        );
      }
      const request = createRequestOf(values, args, {
        environment: io.environment,
        consoleSize: tty ? [io.stdout.rows() ?? 0, io.stdout.columns() ?? 0] : [0, 0],
        detach,
      });
      const engine = await context.engine();
      const id = await createContainer(context, engine, values, request);
      if (detach) {
        progress.started = true;
        await engine.containers.start(id);
        io.stdout.print(`${id}\n`);
        return 0;
      }
      return await runAttached(context, engine, { id, request, values, progress });
    } catch (error) {
      return failStart(error, context.program, { command: "run", started: progress.started });
    }
  },
};

interface AttachedRun {
  readonly id: string;
  readonly request: CreateRequest;
  readonly values: FlagValues;
  readonly progress: { started: boolean };
}

async function runAttached(
  context: CliContext,
  engine: EngineClient,
  run: AttachedRun,
): Promise<number> {
  const { id, request, values } = run;
  const { body } = request;
  const detachKeys = values.string("detach-keys") || context.config.detachKeys;
  const attached: AttachedOptions = {
    tty: body.Tty,
    stdin: body.AttachStdin,
    stdout: body.AttachStdout,
    stderr: body.AttachStderr,
    detachKeys,
  };
  // Both are registered before the start, so that neither output nor exit can be missed; they wait
  // for nothing of each other and go side by side.
  const [stream, wait] = await Promise.all([
    engine.containers.attach(id, { ...attached, stream: true }),
    engine.containers.wait(id, body.HostConfig.AutoRemove ? "removed" : "next-exit"),
  ]);
  await using cleanup = new AsyncDisposableStack();
  const sigProxy = values.bool("sig-proxy") && !body.Tty;
  await terminalFor(context, engine, id, { ...attached, sigProxy }, cleanup);
  const output = joinStreams(context.io, stream, attached);
  output.catch(() => undefined); // looked at below; the start comes first
  try {
    run.progress.started = true;
    await engine.containers.start(id, { detachKeys });
  } catch (error) {
    stream.close();
    await output.catch(() => undefined);
    throw error;
  }
  return await finish(context, { output, wait });
}

interface Ending {
  readonly output: Promise<"ended" | "detached">;
  readonly wait: { result: Promise<{ exitCode: number; error: string | undefined }> };
}

async function finish(context: CliContext, ending: Ending): Promise<number> {
  if ((await ending.output) === "detached") {
    context.io.stderr.print("read escape sequence\n");
    return 0;
  }
  const { exitCode, error } = await ending.wait.result;
  if (error !== undefined) context.io.stderr.print(`${context.program}: ${error}\n`);
  return exitCode;
}
