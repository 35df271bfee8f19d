/** `npm start`: from a fresh machine to a running container. Safe to run again. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { busyboxRootfs } from "./base-image.ts";
import { BINARY, build } from "./build.ts";
import { ENGINE_PACKAGES } from "./packages.ts";
import { runOrThrow, runProgram } from "./program.ts";
import { describeLacks, say, setUp } from "./set-up.ts";

const SOCKET = "/run/naru/naru.sock";
const LOG = "/var/log/naru/daemon.log"; // where the CLI puts it when it starts an engine
const PIDFILE = "/run/naru/naru.pid";
const IMAGE = "naru/base:latest";
const ENGINE_LIMIT_MS = 20_000; // recovery after a crash included
const COMMAND_LIMIT_MS = 60_000; // the first container waits for nothing but a slow disk
const POLL_MS = 20;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const SHOW = `
echo "  pid 1          $(cat /proc/1/comm), in a system of its own"
echo "  host name      $(hostname)"
echo "  address        $(ip -4 -o addr show eth0 | awk '{print $4}')"
limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null)
echo "  memory limit   $((limit / 1048576)) MiB"`;

const NEXT = `
What to try next (the engine goes on in the background; its log is ${LOG}):

  dist/naru run -it naru/base              a shell in a container
  dist/naru run -d --name web naru/base sleep 1000
  dist/naru ps
  dist/naru exec -it web sh
  dist/naru rm -f web

  export DOCKER_HOST=unix://${SOCKET}     then docker itself, or anything that speaks to it
  dist/naru system check                   looks for anything left behind
  kill $(cat ${PIDFILE})               stops the engine; containers go on
`;

async function answers(): Promise<boolean> {
  try {
    return (await fetch("http://naru/_ping", { unix: SOCKET })).ok;
  } catch {
    return false;
  }
}

/** In a session of its own and without our pipes: whoever waits for those must not wait for it. */
async function startEngine(): Promise<void> {
  mkdirSync(dirname(LOG), { recursive: true });
  const log = openSync(LOG, "a");
  const engine = spawn(BINARY, ["daemon"], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
    env: { PATH: process.env["PATH"] ?? PATH, HOME: process.env["HOME"] ?? "/root" },
  });
  closeSync(log);
  engine.once("error", () => undefined); // seen below: it does not answer
  engine.unref();
  const deadlineMs = Date.now() + ENGINE_LIMIT_MS;
  while (!(await answers())) {
    if (engine.exitCode !== null || engine.signalCode !== null || Date.now() > deadlineMs) {
      const tail = readFileSync(LOG, "utf8").split("\n").slice(-20).join("\n");
      throw new Error(`the engine did not start; the end of ${LOG}:\n${tail}`);
    }
    await Bun.sleep(POLL_MS);
  }
}

const env: Readonly<Record<string, string>> = { DOCKER_HOST: `unix://${SOCKET}` };

async function ensureImage(): Promise<void> {
  const known = await runProgram([BINARY, "image", "inspect", IMAGE], {
    env,
    limitMs: COMMAND_LIMIT_MS,
  });
  if (known.exitCode === 0) return;
  say(`making the first image, ${IMAGE}, from Debian's busybox`);
  const changes = ["--change", 'CMD ["sh"]', "--change", `ENV PATH=${PATH}`];
  const stdin = await busyboxRootfs();
  const command = [BINARY, "import", ...changes, "-", IMAGE] as const;
  await runOrThrow(command, { env, stdin, limitMs: COMMAND_LIMIT_MS });
}

async function main(): Promise<number> {
  const lacks = await setUp({ required: ENGINE_PACKAGES });
  if (lacks.length > 0) {
    say(describeLacks(lacks));
    return 1;
  }
  if (await build({ force: false })) say("built dist/naru");
  if (await answers()) say(`an engine answers at ${SOCKET}`);
  else {
    say("starting the engine");
    await startEngine();
  }
  await ensureImage();
  const run = ["run", "--rm", "-m", "64m", IMAGE, "sh", "-c", SHOW];
  const startedMs = performance.now();
  const shown = await runOrThrow([BINARY, ...run], { env, limitMs: COMMAND_LIMIT_MS });
  const tookMs = Math.round(performance.now() - startedMs);
  process.stdout.write(
    `\nA container ran, in ${tookMs} ms from command to clean-up:\n${shown}${NEXT}`,
  );
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
