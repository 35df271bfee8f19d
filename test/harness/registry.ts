import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { naruCommand } from "./program.ts";

const START_LIMIT_MS = 20_000; // a cold start on a busy machine of two cores
const STOP_LIMIT_MS = 10_000;

export interface RegistryOptions {
  /** More flags for `naru registry serve`. */
  readonly args?: readonly string[];
  /** A root to use and to keep; otherwise a temporary one that `close` removes. */
  readonly root?: string;
  /** `HOST:PORT`; a free port of loopback when absent. */
  readonly listen?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface TestRegistry {
  /** `127.0.0.1:PORT`, as in names of images. */
  readonly host: string;
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  readonly root: string;
  readonly pid: number;
  /** What it has written on stderr. */
  log(): string;
  kill9(): Promise<void>;
  /** SIGTERM; removes a temporary root. */
  close(): Promise<void>;
}

/** Starts `naru registry serve` and resolves when it listens. Throws with its log when it does not. */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const root = options.root ?? mkdtempSync(join(tmpdir(), "naru-registry-"));
  const [program, ...before] = naruCommand();
  const flags = ["--root", root, "--listen", options.listen ?? "127.0.0.1:0"];
  const args = [...before, "registry", "serve", ...flags, ...(options.args ?? [])];
  const env = { ...process.env, ...options.env };
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], env });
  const temporary = options.root === undefined;
  const remove = (): void => {
    if (temporary) rmSync(root, { recursive: true, force: true });
  };
  let log = "";
  let address: { scheme: string; host: string } | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(new Error(`the registry did not start:\n${log}`));
      const timer = setTimeout(fail, START_LIMIT_MS);
      child.once("error", fail);
      child.once("exit", () => setTimeout(fail, 50)); // the last of its log may still come
      child.stderr.on("data", (chunk: Buffer) => {
        log += chunk.toString();
        const match = /msg="registry listens".* url="?(https?):\/\/([^\s"]+)/.exec(log);
        if (match === null || address !== undefined) return;
        address = { scheme: match[1] ?? "", host: match[2] ?? "" };
        clearTimeout(timer);
        resolve();
      });
    });
  } catch (error) {
    child.kill("SIGKILL");
    remove();
    throw error;
  }
  const { scheme, host } = address as unknown as { scheme: string; host: string };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended(child);
    clearTimeout(timer);
  };
  return {
    ...{ host, url: `${scheme}://${host}`, root, pid: child.pid ?? 0 },
    log: () => log,
    kill9: () => end("SIGKILL"),
    close: async () => {
      await end("SIGTERM");
      remove();
    },
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}
