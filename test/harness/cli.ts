import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { naruCommand } from "./program.ts";

const LIMIT_MS = 30_000; // no command of a test takes longer on a busy machine

export interface CliOptions {
  /** `docker` is the stock client found on PATH. */
  readonly program?: "naru" | "docker";
  /** Sent, then end of file; without it stdin is empty. */
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly limitMs?: number;
  readonly cwd?: string;
}

export interface CliResult {
  /** -1 when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** For output that is not text. */
  readonly stdoutBytes: Buffer;
}

/** The stock docker client, or undefined where there is none: skip by name then. */
export function dockerProgram(): string | undefined {
  return Bun.which("docker") ?? undefined;
}

/** Runs a client against an engine. Throws only when it takes too long. */
export function cli(
  engine: { readonly host: string },
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const [program, ...before] = options.program === "docker" ? ["docker"] : naruCommand();
  const limitMs = options.limitMs ?? LIMIT_MS;
  const child = spawn(program ?? "", [...before, ...args], {
    cwd: options.cwd,
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, DOCKER_HOST: engine.host, ...options.env },
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin.on("error", () => undefined); // it may end without reading all
  child.stdin.end(options.stdin ?? "");
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      const shown = `${Buffer.concat(out).toString()}${Buffer.concat(err).toString()}`;
      reject(new Error(`${args.join(" ")}: took over ${limitMs} ms\n${shown}`));
    }, limitMs);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      const stdoutBytes = Buffer.concat(out);
      const stderr = Buffer.concat(err).toString();
      resolve({ exitCode: code ?? -1, stdout: stdoutBytes.toString(), stderr, stdoutBytes });
    });
  });
}

/** Standard output without the last newline; throws with both outputs unless the exit code is 0. */
export async function cliOk(
  engine: { readonly host: string },
  args: readonly string[],
  options: CliOptions = {},
): Promise<string> {
  const result = await cli(engine, args, options);
  if (result.exitCode !== 0) {
    throw new Error(
      `${args.join(" ")}: exit code ${result.exitCode}\n${result.stdout}${result.stderr}`,
    );
  }
  return result.stdout.replace(/\n$/, "");
}

/** True when this host can run the tests that need root and the kernel; say why when not. */
export function privileged(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/crun") && existsSync("/usr/bin/conmon");
}
