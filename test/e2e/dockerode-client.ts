import { createReadStream } from "node:fs";
import { PassThrough, type Readable } from "node:stream";
import Dockerode from "dockerode";
import { busyboxFiles } from "../harness/rootfs.ts";

/** What a container said and how it ended. */
export interface Ended {
  readonly id: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** dockerode at a socket. */
export function connect(socketPath: string): Dockerode {
  return new Dockerode({ socketPath });
}

/** Loads `busybox:latest`. */
export async function loadBusybox(docker: Dockerode): Promise<void> {
  const { dockerArchive } = await busyboxFiles();
  await followed(docker, await docker.loadImage(createReadStream(dockerArchive)));
}

/** The messages of a progress stream. Throws what the stream tells as an error. */
export function followed(
  docker: Dockerode,
  stream: NodeJS.ReadableStream,
): Promise<readonly Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null, messages) => {
      const told = (messages ?? []).find((message) => "error" in message) as
        | { error: string }
        | undefined;
      if (error !== null) reject(error);
      else if (told !== undefined) reject(new Error(told.error));
      else resolve(messages);
    });
  });
}

/** Everything until the end. */
export async function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Both streams of a multiplexed one, at its end. */
export async function demuxed(
  docker: Dockerode,
  stream: NodeJS.ReadableStream,
): Promise<{ stdout: string; stderr: string }> {
  const out = new PassThrough();
  const err = new PassThrough();
  const texts = Promise.all([bytesOf(out), bytesOf(err)]);
  docker.modem.demuxStream(stream, out, err);
  await ended(stream);
  out.end();
  err.end();
  const [stdout, stderr] = await texts;
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Resolves at the end or the close of a stream that somebody else reads. */
export function ended(stream: NodeJS.ReadableStream): Promise<void> {
  const readable = stream as Readable;
  return new Promise((resolve, reject) => {
    if (readable.readableEnded || readable.closed) return resolve();
    readable.once("end", resolve).once("close", resolve).once("error", reject);
  });
}

/** Two streams of a buffer as `logs` without follow returns it. */
function split(frames: Buffer): { stdout: string; stderr: string } {
  const texts = ["", "", ""];
  for (let at = 0; at < frames.length; ) {
    const size = frames.readUInt32BE(at + 4);
    const kind = frames[at] ?? 0;
    texts[kind] = `${texts[kind] ?? ""}${frames.subarray(at + 8, at + 8 + size).toString()}`;
    at += 8 + size;
  }
  return { stdout: texts[1] ?? "", stderr: texts[2] ?? "" };
}

/** What has been logged so far, streams apart. */
export async function logsOf(
  container: Dockerode.Container,
  options: Dockerode.ContainerLogsOptions = {},
): Promise<{ stdout: string; stderr: string }> {
  const both = { stdout: true, stderr: true, ...options, follow: false as const };
  return split(await container.logs(both));
}

/** Runs a shell script in busybox to its end and removes the container unless `keep`. */
export async function run(
  docker: Dockerode,
  script: string | readonly string[],
  options: Dockerode.ContainerCreateOptions & { keep?: boolean } = {},
): Promise<Ended> {
  const { keep, ...create } = options;
  const Cmd = typeof script === "string" ? ["sh", "-c", script] : [...script];
  const container = await docker.createContainer({ Image: "busybox", Cmd, ...create });
  try {
    const stream = await container.attach({ stream: true, stdout: true, stderr: true });
    const texts = demuxed(docker, stream);
    await container.start();
    const { StatusCode } = (await container.wait()) as { StatusCode: number };
    return { id: container.id, exitCode: StatusCode, ...(await texts) };
  } finally {
    if (!keep) await container.remove({ force: true, v: true });
  }
}

/** What the script prints, of a container with this HostConfig. */
export async function inside(
  docker: Dockerode,
  script: string,
  HostConfig: Dockerode.HostConfig = {},
  options: Dockerode.ContainerCreateOptions = {},
): Promise<string> {
  const { stdout, stderr, exitCode } = await run(docker, script, { ...options, HostConfig });
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stdout}${stderr}`);
  return stdout.trim();
}

/** A container that goes on until it is killed: `sh` there to be exec'ed into. */
export async function idle(
  docker: Dockerode,
  options: Dockerode.ContainerCreateOptions = {},
): Promise<Dockerode.Container> {
  const Cmd = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; trap 'exit 12' USR1; while :; do sleep 1 & wait; done",
  ];
  const container = await docker.createContainer({ Image: "busybox", Cmd, ...options });
  await container.start();
  if (options.Cmd === undefined) await hears(container);
  return container;
}

/** Resolves when the shell of `idle` has set its traps: until then pid 1 ignores such signals. */
export async function hears(container: Dockerode.Container): Promise<void> {
  const { Pid } = (await container.inspect()).State;
  for (;;) {
    const status = await Bun.file(`/proc/${Pid}/status`).text();
    if (/^SigCgt:\t0*[1-9a-f]/m.test(status)) return;
    await Bun.sleep(5);
  }
}

/** Runs a script in a running container. */
export async function execIn(
  docker: Dockerode,
  container: Dockerode.Container,
  script: string | readonly string[],
  options: Dockerode.ExecCreateOptions = {},
): Promise<Ended> {
  const Cmd = typeof script === "string" ? ["sh", "-c", script] : [...script];
  const exec = await container.exec({ AttachStdout: true, AttachStderr: true, ...options, Cmd });
  const stream = await exec.start({});
  const texts = await demuxed(docker, stream);
  const { ExitCode } = await exec.inspect();
  return { id: exec.id, exitCode: ExitCode ?? -1, ...texts };
}

/** The status code and message of a call that must fail. */
export async function refused(call: Promise<unknown>): Promise<{ status: number; text: string }> {
  try {
    await call;
  } catch (error) {
    const { statusCode, json, message } = error as {
      statusCode?: number;
      json?: { message?: string };
      message: string;
    };
    return { status: statusCode ?? 0, text: json?.message ?? message };
  }
  throw new Error("the call succeeded");
}
