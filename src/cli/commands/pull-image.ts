import { NaruError } from "../../base/mod.ts";
import type { ProgressMessage } from "../../spec/mod.ts";
import type { CliContext } from "../context.ts";
import { authHeader, CredentialStore } from "../credentials/credential-store.ts";
import { serverOfReference } from "../credentials/server-address.ts";
import type { OutputStream } from "../io.ts";
import { showProgress } from "../output/progress.ts";

/** `repo`, and `tag` or digest; without either the tag is `latest`. */
export function splitReference(reference: string): { repo: string; tag: string } {
  const at = reference.indexOf("@");
  if (at >= 0) return { repo: reference.slice(0, at), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(":");
  if (colon < 0 || reference.indexOf("/", colon) >= 0) return { repo: reference, tag: "" };
  return { repo: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}

/** The X-Registry-Auth header for a reference, from `config.json` and its helpers. */
export async function registryAuth(context: CliContext, reference: string): Promise<string> {
  const server = serverOfReference(reference);
  return authHeader(server, await new CredentialStore(context.configFolder).get(server));
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
    auth: await registryAuth(context, reference),
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
