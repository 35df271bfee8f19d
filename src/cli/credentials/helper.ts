import { spawn } from "node:child_process";
import { errorCode, NaruError } from "../../base/mod.ts";
import { isObject } from "../../spec/mod.ts";

/** What a registry may be shown. "" where absent. */
export interface StoredCredentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

const TOKEN_USER = "<token>"; // docker-credential-helpers: the secret is an identity token
const LIMIT_MS = 60_000; // it may ask a person for a password
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** `docker-credential-<name> get`. Undefined: it has none. @see docker-credential-helpers protocol */
export async function helperGet(
  name: string,
  server: string,
): Promise<StoredCredentials | undefined> {
  const { exitCode, output } = await runHelper(name, "get", server);
  if (exitCode !== 0) {
    if (/not found/i.test(output)) return undefined;
    throw failed(name, "get", output);
  }
  const answer: unknown = parse(name, output);
  if (!isObject(answer))
    throw failed(name, "get", "it answered with something else than an object");
  const text = (key: string): string => (typeof answer[key] === "string" ? answer[key] : "");
  const [username, secret] = [text("Username"), text("Secret")];
  if (username === "" && secret === "") return undefined;
  return username === TOKEN_USER
    ? { username: "", password: "", identityToken: secret, registryToken: "" }
    : { username, password: secret, identityToken: "", registryToken: "" };
}

export async function helperStore(
  name: string,
  server: string,
  { username, password, identityToken }: StoredCredentials,
): Promise<void> {
  const entry =
    identityToken === ""
      ? { ServerURL: server, Username: username, Secret: password }
      : { ServerURL: server, Username: TOKEN_USER, Secret: identityToken };
  const { exitCode, output } = await runHelper(name, "store", JSON.stringify(entry));
  if (exitCode !== 0) throw failed(name, "store", output);
}

export async function helperErase(name: string, server: string): Promise<void> {
  const { exitCode, output } = await runHelper(name, "erase", server);
  if (exitCode !== 0 && !/not found/i.test(output)) throw failed(name, "erase", output);
}

function parse(name: string, output: string): unknown {
  try {
    return JSON.parse(output);
  } catch {
    throw failed(name, "get", "it answered with something else than JSON"); // may hold the secret
  }
}

function failed(name: string, action: string, why: string): NaruError {
  const text = why.trim().slice(0, 300);
  return new NaruError("unavailable", `credential helper ${name} cannot ${action}: ${text}`);
}

function runHelper(
  name: string,
  action: "get" | "store" | "erase",
  input: string,
): Promise<{ exitCode: number; output: string }> {
  if (!/^[\w.-]+$/.test(name)) {
    throw new NaruError("invalid_argument", `"${name}" is no name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  const child = spawn(program, [action], {
    stdio: ["pipe", "pipe", "inherit"],
    timeout: LIMIT_MS,
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OUTPUT_BYTES_MAX) child.kill("SIGKILL");
    else chunks.push(chunk);
  });
  child.stdin.on("error", () => undefined); // it may end without reading
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      const missing = errorCode(cause) === "ENOENT";
      const why = missing ? "is not installed" : "cannot be run";
      const advice = "install it, or remove it from credsStore and credHelpers in config.json";
      reject(new NaruError("unavailable", `${program} ${why}: ${advice}`, {}, { cause }));
    });
    child.once("close", (code) =>
      resolve({ exitCode: code ?? -1, output: Buffer.concat(chunks).toString() }),
    );
  });
}
