import { NaruError } from "../../base/mod.ts";
import type { ProgressMessage } from "../../spec/mod.ts";
import type { CliContext } from "../context.ts";
import type { OutputStream } from "../io.ts";
import { showProgress } from "../output/progress.ts";

const HUB = "https://index.docker.io/v1/";

/** `repo`, and `tag` or digest; without either the tag is `latest`. */
export function splitReference(reference: string): { repo: string; tag: string } {
  const at = reference.indexOf("@");
  if (at >= 0) return { repo: reference.slice(0, at), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(":");
  if (colon < 0 || reference.indexOf("/", colon) >= 0) return { repo: reference, tag: "" };
  return { repo: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/** The X-Registry-Auth header for a reference, from `config.json`. */
export function registryAuth(context: CliContext, reference: string): string | undefined {
  const first = reference.split("/")[0] ?? "";
  const named = reference.includes("/") && (/[.:]/.test(first) || first === "localhost");
  const server = named && first !== "docker.io" ? first : HUB;
  const entry = context.config.auths?.[server];
  if (entry === undefined) return undefined;
  const [username = "", ...rest] = Buffer.from(entry.auth ?? "", "base64")
    .toString()
    .split(":");
  const auth = {
    username,
    password: rest.join(":"),
    serveraddress: server,
    ...(entry.identitytoken === undefined ? {} : { identitytoken: entry.identitytoken }),
  };
  return Buffer.from(JSON.stringify(auth)).toString("base64url");
}

/** Pulls, showing progress on `output` unless quiet. Throws what the engine says. */
export async function pullImage(
  context: CliContext,
  reference: string,
  options: { platform: string; quiet: boolean; output: OutputStream; allTags?: boolean },
): Promise<void> {
  const engine = await context.engine();
  const { repo, tag } = splitReference(reference);
  const messages: AsyncIterable<ProgressMessage> = await engine.images.pull({
    name: repo,
    tag: options.allTags === true ? "" : tag || "latest",
    platform: options.platform || undefined,
    auth: registryAuth(context, reference),
  });
  await showProgress(messages, options.output, { quiet: options.quiet });
}

/** Is this the engine's "I do not have that image"? */
export function isMissingImage(error: unknown): boolean {
  return (
    error instanceof NaruError &&
    error.kind === "not_found" &&
    error.message.toLowerCase().includes("no such image")
  );
}
