import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { NaruError } from "../base/mod.ts";
import type { EngineClient } from "../sdk/mod.ts";
import type { CliIo } from "./io.ts";

const LOG_FOLDER = "/var/log/naru";
const WAIT_MS = 20_000; // recovery with many containers takes seconds
const POLL_MS = 20;

/** Starts an engine at the default socket and waits until it answers. Says so on stderr. */
export async function startEngine(io: CliIo, client: EngineClient): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new NaruError(
      "unavailable",
      `no engine answers at ${client.host}, and only root may start one: run "sudo naru daemon", or name a running engine with --host`,
    );
  }
  mkdirSync(LOG_FOLDER, { recursive: true, mode: 0o755 });
  const logPath = `${LOG_FOLDER}/daemon.log`;
  const log = openSync(logPath, "a", 0o640);
  try {
    io.stderr.print(`naru: no engine answers at ${client.host}, starting one (log: ${logPath})\n`);
    // A session of its own, and none of our pipes: whoever waits for them must not wait for it.
    const child = spawn(process.execPath, [...ownArguments(), "daemon"], {
      detached: true,
      stdio: ["ignore", log, log],
      cwd: "/",
      // A service that runs a command is not the engine's service manager.
      env: { ...process.env, NOTIFY_SOCKET: undefined },
    });
    let exited = false;
    child.on("error", () => {
      exited = true;
    });
    child.on("exit", () => {
      exited = true;
    });
    child.unref();
    await untilAnswers(client, () => exited, logPath);
  } finally {
    closeSync(log);
  }
}

/** From source the runtime is the executable and the program's file its argument. */
function ownArguments(): string[] {
  const main = Bun.main;
  return main.startsWith("/$bunfs/") ? [] : [main];
}

async function untilAnswers(
  client: EngineClient,
  exited: () => boolean,
  logPath: string,
): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  for (;;) {
    try {
      await client.apiVersion();
      return;
    } catch (cause) {
      if (exited()) {
        // Two commands may start one at the same time: the other's engine may be the one.
        await Bun.sleep(POLL_MS * 5);
        if (await client.apiVersion().then(Boolean, () => false)) return;
        const message = `the engine ended while starting: read ${logPath}`;
        throw new NaruError("unavailable", message, {}, { cause });
      }
      if (performance.now() > endMs) {
        const message = `the engine did not answer within ${WAIT_MS / 1000} s: read ${logPath}`;
        throw new NaruError("unavailable", message, {}, { cause });
      }
    }
    await Bun.sleep(POLL_MS);
  }
}
