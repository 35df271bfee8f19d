import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { NaruError } from "../base/mod.ts";
import { close, isAlive, pidfdOpen, pidfdSendSignal } from "../linux/mod.ts";
import type { Logger } from "../observe/mod.ts";
import {
  type ConmonProcess,
  identifyProcess,
  moveToCgroup,
  spawnConmon,
} from "./conmon-process.ts";
import type { ExecProcess, ExecRequest, StdioHub } from "./contract.ts";
import { resizeTerminal } from "./control.ts";
import { translateRuntimeError } from "./runtime-error.ts";
import { connectStdio } from "./stdio-hub.ts";

export interface ExecDriver {
  readonly conmonPath: string;
  readonly runtimeArguments: readonly string[];
  readonly monitorCgroups: readonly string[];
  readonly logger: Logger;
}

const KILLED = 137; // 128 + SIGKILL
const SIGKILL = 9;

/**
 * Runs a process in a container under a conmon of its own. Throws invalid_argument in Docker's
 * words with `exitCode` 126 or 127 in the details when it cannot be started; `request.dir` is
 * removed soon after, as it is when the process has ended.
 */
export async function startExec(request: ExecRequest, driver: ExecDriver): Promise<ExecProcess> {
  const { dir } = request;
  // conmon names the exit file after the container: each exec has a folder of its own for it.
  mkdirSync(`${dir}/exits`, { recursive: true, mode: 0o700 });
  writeFileSync(`${dir}/spec.json`, JSON.stringify(request.process), { mode: 0o600 });
  const conmon = await spawnConmon(driver.conmonPath, execArguments(request, driver), {
    attachPipe: !request.detached,
    cwd: dir,
  });
  let stdio: StdioHub | undefined;
  try {
    moveToCgroup(driver.monitorCgroups, conmon.pid);
    conmon.go({ last: request.detached });
    if (!request.detached) {
      const ready = await conmon.attachable();
      if (ready.data < 0) throw failed(request, ready.message);
      stdio = await connectStdio(dir, {
        terminal: request.terminal,
        stdin: request.stdin ? "once" : "closed",
        log: undefined,
        logger: driver.logger,
      });
      request.onStdio?.(stdio);
      conmon.go({ last: true });
    }
    const answer = await conmon.answer();
    if (answer.data <= 0) throw failed(request, answer.message);
    return new MonitoredExec(request, conmon, answer.data, stdio);
  } catch (error) {
    stdio?.close();
    void cleanUp(conmon, dir);
    throw error;
  }
}

/** conmon writes into the folder to its very end, which nobody should wait for. */
async function cleanUp(conmon: ConmonProcess, dir: string): Promise<void> {
  conmon.release();
  await conmon.ended();
  conmon.close();
  rmSync(dir, { recursive: true, force: true });
}

function failed(request: ExecRequest, message: string): NaruError {
  return translateRuntimeError("exec", message, request.process.args[0] ?? "");
}

class MonitoredExec implements ExecProcess {
  readonly pid: number;
  readonly stdio: StdioHub | undefined;
  readonly exited: Promise<{ exitCode: number }>;
  readonly #dir: string;

  constructor(
    request: ExecRequest,
    conmon: ConmonProcess,
    pid: number,
    stdio: StdioHub | undefined,
  ) {
    this.pid = pid;
    this.stdio = stdio;
    this.#dir = request.dir;
    const started = identifyProcess(pid);
    this.exited = this.#finish(request, conmon, started?.startTime);
  }

  async #finish(
    request: ExecRequest,
    conmon: ConmonProcess,
    startTime: string | undefined,
  ): Promise<{ exitCode: number }> {
    try {
      const exitCode = await this.#exitCode(request, conmon, startTime);
      await this.stdio?.ended;
      return { exitCode };
    } finally {
      void cleanUp(conmon, this.#dir);
    }
  }

  async #exitCode(
    request: ExecRequest,
    conmon: ConmonProcess,
    startTime: string | undefined,
  ): Promise<number> {
    try {
      return (await conmon.answer()).data;
    } catch {
      // The pipe ended without a second line: conmon wrote the exit file only, or was killed.
      const code = readExitFile(`${this.#dir}/exits/${request.containerId}`);
      if (code !== undefined) return code;
      if (startTime !== undefined) killExact(this.pid, startTime);
      return KILLED;
    }
  }

  async resize(size: { rows: number; columns: number }): Promise<void> {
    resizeTerminal(this.#dir, size);
  }
}

function execArguments(request: ExecRequest, driver: ExecDriver): string[] {
  const { dir, containerId, execId, name } = request;
  return [
    ...driver.runtimeArguments,
    ...["-b", dir, "-c", containerId, "-u", execId, "-n", name],
    ...["-p", `${dir}/pid`, "-P", `${dir}/conmon.pid`, "--exit-dir", `${dir}/exits`],
    ...["--full-attach", "-l", "none", "--log-level", "error"],
    ...(request.terminal ? ["-t"] : request.stdin ? ["-i"] : []),
    ...["-e", ...(request.detached ? [] : ["--exec-attach"])],
    ...["--exec-process-spec", `${dir}/spec.json`],
  ];
}

function readExitFile(path: string): number | undefined {
  try {
    const code = Number.parseInt(readFileSync(path, "latin1"), 10);
    return Number.isNaN(code) ? undefined : code;
  } catch {
    return undefined;
  }
}

function killExact(pid: number, startTime: string): void {
  const pidFd = pidfdOpen(pid);
  if (pidFd === undefined) return;
  try {
    if (isAlive(pid, Number(startTime))) pidfdSendSignal(pidFd, SIGKILL);
  } finally {
    close(pidFd);
  }
}
