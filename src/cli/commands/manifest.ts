import { isNaruError, systemClock } from "../../base/mod.ts";
import {
  formatFamiliar,
  isIndexType,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../oci/mod.ts";
import { createRegistryClient, type RegistryClient } from "../../registry-client/mod.ts";
import type { Command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { CredentialStore } from "../credentials/credential-store.ts";
import { serverKey } from "../credentials/server-address.ts";
import { ExitError } from "../exit-error.ts";
import { bool } from "../flags/flag.ts";

const CERTS_DIRS: readonly string[] = ["/etc/naru/certs.d", "/etc/docker/certs.d"];
const ATTEMPTS = 3; // a person waits

/** Asks the registry from here, as docker's CLI does: no engine has a part in it. */
export const manifestInspectCommand: Command = {
  path: "manifest inspect",
  usage: "MANIFEST",
  summary: "Display an image manifest, or manifest list",
  flags: [
    bool("insecure", "", "Allow communication with an insecure registry"),
    bool("verbose", "v", "Output additional info including platforms and digests"),
  ],
  minArgs: 1,
  maxArgs: 1,
  examples: ["manifest inspect debian:12"],
  async run({ context, values, args: [name = ""] }) {
    const reference = withDefaultTag(parseReference(name));
    const client = clientFor(context, values.bool("insecure") ? [reference.domain] : []);
    try {
      const found = await look(client, reference, context, values.bool("verbose"));
      context.io.stdout.print(`${JSON.stringify(found, undefined, "\t")}\n`);
    } catch (error) {
      if (!isNaruError(error, "not_found")) throw error;
      throw new ExitError(1, `no such manifest: ${formatFamiliar(reference)}`);
    } finally {
      client.close();
    }
    return 0;
  },
};

function clientFor({ io, program }: CliContext, insecure: readonly string[]): RegistryClient {
  const variable = (name: string): string =>
    io.environment[name] ?? io.environment[name.toLowerCase()] ?? "";
  const quiet = (): void => undefined;
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet, with: () => logger };
  return createRegistryClient({
    hosts: () => ({
      mirrors: new Map(),
      insecure,
      certsDirs: CERTS_DIRS,
      proxies: {
        httpProxy: variable("HTTP_PROXY"),
        httpsProxy: variable("HTTPS_PROXY"),
        noProxy: variable("NO_PROXY"),
      },
      offline: false,
      attemptsMax: ATTEMPTS,
    }),
    clock: systemClock,
    logger,
    userAgent: `${program}-cli`,
  });
}

async function look(
  client: RegistryClient,
  reference: Reference,
  { io, configFolder }: CliContext,
  verbose: boolean,
): Promise<unknown> {
  const serverAddress = serverKey(reference.domain);
  const stored = await new CredentialStore(configFolder).get(serverAddress);
  const stop = new AbortController();
  const unlisten = io.onSignal("SIGINT", () => stop.abort());
  const access = {
    credentials: stored === undefined ? undefined : { ...stored, serverAddress },
    signal: stop.signal,
  };
  const read = async (target: string, platform?: unknown): Promise<Record<string, unknown>> => {
    const { mediaType, digest, bytes } = await client.manifest(reference, target, access);
    const body = JSON.parse(Buffer.from(bytes).toString("utf8")) as Record<string, unknown>;
    if (!verbose) return body;
    const Descriptor = {
      mediaType,
      digest,
      size: bytes.byteLength,
      ...(platform === undefined ? {} : { platform }),
    };
    const Ref = `${formatFamiliar({ ...reference, tag: undefined, digest: undefined })}@${digest}`;
    return { Ref, Descriptor, Raw: Buffer.from(bytes).toString("base64"), Manifest: body };
  };
  try {
    const top = await read(reference.digest ?? reference.tag ?? "");
    const { Descriptor, Manifest } = top as {
      Descriptor?: { mediaType: string };
      Manifest?: { manifests?: readonly { digest: string; platform?: unknown }[] };
    };
    if (!verbose || Descriptor === undefined || !isIndexType(Descriptor.mediaType)) return top;
    const all = [];
    for (const { digest, platform } of Manifest?.manifests ?? []) {
      all.push(await read(digest, platform));
    }
    return all;
  } finally {
    unlisten();
  }
}
