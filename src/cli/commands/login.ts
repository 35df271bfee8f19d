import { NaruError } from "../../base/mod.ts";
import type { Command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { CredentialStore } from "../credentials/credential-store.ts";
import type { StoredCredentials } from "../credentials/helper.ts";
import { HUB_SERVER, serverKey } from "../credentials/server-address.ts";
import { ExitError } from "../exit-error.ts";
import { bool, text } from "../flags/flag.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import type { CliIo } from "../io.ts";

const SECRET_BYTES_MAX = 64 * 1024; // tokens are a few KiB

export const loginCommand: Command = {
  path: "login",
  usage: "[SERVER]",
  summary: "Log in to a registry",
  flags: [
    text("password", "p", "Password or access token"),
    bool("password-stdin", "", "Take the password or access token from stdin"),
    text("username", "u", "Username"),
  ],
  minArgs: 0,
  maxArgs: 1,
  examples: ["login -u me --password-stdin registry.example < token"],
  async run({ context, values, args: [typed = ""] }) {
    const { io } = context;
    const server = serverKey(typed);
    const store = new CredentialStore(context.configFolder);
    const asked = await credentialsFor(context, values, { server, store });
    const engine = await context.engine();
    const answer = await engine.system.auth({
      username: asked.username,
      password: asked.password,
      ...(asked.identityToken === "" ? {} : { identitytoken: asked.identityToken }),
      serveraddress: server,
    });
    const identityToken = answer.IdentityToken ?? "";
    const kept = identityToken === "" ? asked : { ...asked, password: "", identityToken };
    const { readable } = await store.store(server, kept);
    if (readable) {
      io.stderr.print(
        `WARNING! Your credentials are stored unencrypted in '${store.path}'.\n` +
          "Configure a credential helper (credsStore in that file) to remove this warning.\n",
      );
    }
    io.stdout.print(`${answer.Status}\n`);
    return 0;
  },
};

export const logoutCommand: Command = {
  path: "logout",
  usage: "[SERVER]",
  summary: "Log out from a registry",
  flags: [],
  minArgs: 0,
  maxArgs: 1,
  async run({ context, args: [typed = ""] }) {
    const server = serverKey(typed);
    const known = await new CredentialStore(context.configFolder).erase(server);
    const text = known ? "Removing login credentials for" : "Not logged in to";
    context.io.stdout.print(`${text} ${server}\n`);
    return 0;
  },
};

interface LoginPlace {
  readonly server: string;
  readonly store: CredentialStore;
}

/** From the flags; else what is stored; else a person is asked. */
async function credentialsFor(
  { io }: CliContext,
  values: FlagValues,
  { server, store }: LoginPlace,
): Promise<StoredCredentials> {
  const none = { username: "", password: "", identityToken: "", registryToken: "" };
  let username = values.string("username").trim();
  let password = values.string("password");
  if (values.bool("password-stdin")) {
    if (password !== "") {
      throw new ExitError(1, "--password and --password-stdin are mutually exclusive");
    }
    if (username === "") throw new ExitError(1, "Must provide --username with --password-stdin");
    password = (await readAll(io)).replace(/\r?\n$/, "");
    if (password === "") throw new ExitError(1, "password is empty");
  } else if (password !== "") {
    io.stderr.print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
  }
  if (username === "" && password === "") {
    const known = await store.get(server);
    if (known !== undefined) {
      io.stderr.print(`Authenticating with existing credentials for ${server}\n`);
      return known;
    }
  }
  if (username !== "" && password !== "") return { ...none, username, password };
  if (!io.stdin.isTty) {
    const what = username === "" ? "--username" : "--password-stdin";
    const text = `cannot ask for a ${username === "" ? "username" : "password"}: stdin is no terminal`;
    throw new ExitError(1, `${text}; give ${what}`);
  }
  if (server === HUB_SERVER) io.stdout.print("Log in to Docker Hub with your Docker ID.\n");
  if (username === "") username = await ask(io, "Username: ", { hidden: false });
  if (username === "") throw new ExitError(1, "username is empty");
  if (password === "") password = await ask(io, "Password: ", { hidden: true });
  if (password === "") throw new ExitError(1, "password is empty");
  return { ...none, username, password };
}

async function readAll(io: CliIo): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of io.stdin.chunks()) {
    bytes += chunk.length;
    if (bytes > SECRET_BYTES_MAX) {
      throw new NaruError("too_large", "the password is longer than 64 KiB");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const ETX = 3; // ctrl-c
const EOT = 4; // ctrl-d
const BACKSPACES: ReadonlySet<number> = new Set([8, 127]);

/** One line from the terminal; hidden ones are not shown while they are typed. */
async function ask(io: CliIo, prompt: string, { hidden }: { hidden: boolean }): Promise<string> {
  io.stdout.print(prompt);
  if (hidden) await io.stdin.setRaw(true);
  const line: number[] = [];
  try {
    for await (const chunk of io.stdin.chunks()) {
      for (const byte of chunk) {
        if (byte === ETX) throw new ExitError(130, "interrupted");
        if (byte === 10 || byte === 13 || byte === EOT) return decode(line);
        if (BACKSPACES.has(byte)) line.pop();
        else if (line.length < SECRET_BYTES_MAX) line.push(byte);
      }
    }
    return decode(line);
  } finally {
    if (hidden) {
      await io.stdin.setRaw(false);
      io.stdout.print("\n");
    }
  }
}

function decode(line: readonly number[]): string {
  return Buffer.from(line).toString("utf8").trim();
}
