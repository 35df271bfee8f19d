import { existsSync, writeFileSync } from "node:fs";
import type { EngineClient } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import { CONTAINER_FLAGS } from "../container/container-flags.ts";
import { type CreateRequest, createRequestOf } from "../container/create-request.ts";
import type { CliContext } from "../context.ts";
import { ExitError } from "../exit-error.ts";
import { isEngineAnswer } from "../explain.ts";
import { refuseContentTrust } from "../flags/content-trust.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { failStart } from "./start-failure.ts";

/** Makes the container, pulling its image when the engine has none. Writes the id file. */
export async function createContainer(
  context: CliContext,
  engine: EngineClient,
  values: FlagValues,
  request: CreateRequest,
): Promise<string> {
  const cidFile = values.string("cidfile");
  if (cidFile !== "" && existsSync(cidFile)) {
    throw new ExitError(
      125,
      `container ID file found, make sure the other container isn't running or delete ${cidFile}`,
    );
  }
  const made = await createOrPull(context, engine, values, request);
  for (const warning of made.Warnings ?? []) context.io.stderr.print(`WARNING: ${warning}\n`);
  if (cidFile !== "") writeFileSync(cidFile, made.Id);
  return made.Id;
}

async function createOrPull(
  context: CliContext,
  engine: EngineClient,
  values: FlagValues,
  request: CreateRequest,
): Promise<{ Id: string; Warnings: string[] | null }> {
  refuseContentTrust(values);
  const policy = values.string("pull");
  if (!["always", "missing", "never"].includes(policy)) {
    throw new ExitError(
      125,
      `invalid pull option: '${policy}': must be one of "always", "missing" or "never"`,
    );
  }
  const image = request.body.Image;
  const pull = async (): Promise<void> => {
    const { pullImage } = await import("./pull-image.ts");
    const quiet = values.bool("quiet");
    await pullImage(context, image, {
      platform: request.platform,
      quiet,
      output: context.io.stderr,
    });
  };
  if (policy === "always") await pull();
  try {
    return await engine.containers.create(request.body, request);
  } catch (error) {
    const { isMissingImage, splitReference } = await import("./pull-image.ts");
    if (policy !== "missing" || !isMissingImage(error)) throw error;
    const shown = splitReference(image).tag === "" ? `${image}:latest` : image;
    if (!values.bool("quiet")) {
      context.io.stderr.print(`Unable to find image '${shown}' locally\n`);
    }
    await pull();
    return await engine.containers.create(request.body, request);
  }
}

export const createCommand: Command = {
  path: "create",
  usage: "IMAGE [COMMAND] [ARG...]",
  summary: "Create a new container",
  flags: CONTAINER_FLAGS,
  minArgs: 1,
  stopAtArgument: true,
  examples: ["create --name web -p 8080:80 nginx", "create -it busybox sh"],
  async run({ context, values, args }: Invocation): Promise<number> {
    try {
      refuseApiSocket(values);
      const { io } = context;
      const consoleSize: [number, number] = [io.stdout.rows() ?? 0, io.stdout.columns() ?? 0];
      const request = createRequestOf(values, args, {
        environment: io.environment,
        consoleSize,
        detach: false,
      });
      const id = await createContainer(context, await context.engine(), values, request);
      io.stdout.print(`${id}\n`);
      return 0;
    } catch (error) {
      // As docker's: what the engine refuses is 1, what the client refuses is 125.
      if (isEngineAnswer(error)) throw error;
      return failStart(error, context.program, { command: "create", started: false });
    }
  },
};

/** The flag copies credentials into the container as well, which is not offered yet. */
export function refuseApiSocket(values: FlagValues): void {
  if (values.bool("use-api-socket")) {
    throw new ExitError(
      125,
      "--use-api-socket is not supported: mount the engine's socket with -v",
    );
  }
}
