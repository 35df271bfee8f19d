import { posix } from "node:path";
import { isNaruError } from "../../base/mod.ts";
import type { EngineClient } from "../../sdk/mod.ts";
import type { Command, Invocation } from "../command.ts";
import {
  absoluteKept,
  type CopyInfo,
  type CopySide,
  followedPath,
  parseCopySide,
  planCopy,
} from "../copy/copy-path.ts";
import { ExitError } from "../exit-error.ts";
import { bool } from "../flags/flag.ts";
import type { CliIo } from "../io.ts";
import { formatSize } from "../output/human.ts";

const IS_DIRECTORY = 2 ** 31; // of Go's os.FileMode, as is the next
const IS_LINK = 2 ** 27;

export const cpCommand: Command = {
  path: "cp",
  usage: "CONTAINER:SRC_PATH DEST_PATH|-\n  cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  summary: "Copy files/folders between a container and the local filesystem",
  flags: [
    bool("archive", "a", "Archive mode (copy all uid/gid information)"),
    bool("follow-link", "L", "Always follow symbol link in SRC_PATH"),
    bool(
      "quiet",
      "q",
      "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
    ),
  ],
  minArgs: 2,
  maxArgs: 2,
  examples: ["cp web:/etc/nginx ./nginx", "cp app.conf web:/etc/", "cp web:/var/log - | tar t"],
  async run(invocation) {
    const [from = "", to = ""] = invocation.args;
    if (from === "") throw new ExitError(1, "source can not be empty");
    if (to === "") throw new ExitError(1, "destination can not be empty");
    const source = parseCopySide(from);
    const target = parseCopySide(to);
    if (source.container !== undefined && target.container !== undefined) {
      throw new ExitError(1, "copying between containers is not supported");
    }
    if (source.container !== undefined) return copyOut(invocation, source, target.path);
    if (target.container !== undefined) return copyIn(invocation, source.path, target);
    throw new ExitError(1, "must specify at least one container source");
  },
};

async function copyOut(
  { context, values }: Invocation,
  source: CopySide,
  targetPath: string,
): Promise<number> {
  const { io } = context;
  if (targetPath === "-" && io.stdout.isTty) {
    throw new ExitError(1, "cowardly refusing to copy to a terminal: use a redirection");
  }
  const { localTarget } = await import("../copy/local-source.ts");
  const here = process.cwd();
  const target = targetPath === "-" ? undefined : await localTarget(targetPath, here);
  const engine = await context.engine();
  const container = source.container ?? "";
  let path = source.path;
  let rebaseName = "";
  if (values.bool("follow-link")) {
    ({ path, rebaseName } = await followRemote(engine, container, source.path));
  }
  const { stat, response } = await engine.files.read(container, path);
  if (target === undefined) {
    for await (const chunk of response.body) await io.stdout.write(chunk);
    return 0;
  }
  const isDirectory = stat.mode >= IS_DIRECTORY;
  const info: CopyInfo = { path: absoluteKept(path), exists: true, isDirectory, rebaseName: "" };
  const plan = planCopy(info, target);
  const { extractLocally } = await import("../copy/local-extract.ts");
  const progress = new CopyProgress(io, values.bool("quiet"), "from container");
  // A followed link keeps the name that was asked for, also inside a directory that exists.
  const base =
    info.path
      .replace(/\/\.?$/, "")
      .split("/")
      .pop() ?? "";
  const rename = plan.rename ?? (rebaseName === "" ? undefined : { from: base, to: rebaseName });
  const warn = (text: string): void => io.stderr.print(`${text}\n`);
  await extractLocally(progress.count(response.body), { ...plan, rename }, warn);
  progress.done(target.path);
  return 0;
}

async function followRemote(
  engine: EngineClient,
  container: string,
  path: string,
): Promise<{ path: string; rebaseName: string }> {
  const stat = await engine.files.stat(container, path);
  if (!isLink(stat.mode)) return { path, rebaseName: "" };
  const resolved = posix.resolve("/", posix.dirname(path), stat.linkTarget);
  return followedPath(absoluteKept(path), resolved);
}

function isLink(mode: number): boolean {
  return Math.floor(mode / IS_LINK) % 2 === 1;
}

async function copyIn(
  { context, values }: Invocation,
  sourcePath: string,
  target: CopySide,
): Promise<number> {
  const { io } = context;
  const engine = await context.engine();
  const container = target.container ?? "";
  const there = await remoteTarget(engine, container, target.path);
  const options = { noOverwriteDirNonDir: true, copyUidGid: values.bool("archive") };
  if (sourcePath === "-") {
    if (!there.isDirectory) {
      throw new ExitError(1, `destination "${container}:${target.path}" must be a directory`);
    }
    await engine.files.write(container, there.path, io.stdin.chunks(), options);
    return 0;
  }
  const { archiveOf, localSource } = await import("../copy/local-source.ts");
  const followLink = values.bool("follow-link");
  const source = await localSource(sourcePath, { followLink, folder: process.cwd() });
  const plan = planCopy(source, there);
  const progress = new CopyProgress(io, values.bool("quiet"), "to container");
  await engine.files.write(
    container,
    plan.folder,
    progress.count(archiveOf(source, plan)),
    options,
  );
  progress.done(`${container}:${there.path}`);
  return 0;
}

/** A link in the last place is followed once: the engine says where it leads. */
async function remoteTarget(
  engine: EngineClient,
  container: string,
  path: string,
): Promise<CopyInfo> {
  const asked = absoluteKept(path);
  const absent = { path: asked, exists: false, isDirectory: false, rebaseName: "" };
  try {
    const stat = await engine.files.stat(container, asked);
    if (!isLink(stat.mode)) {
      return { ...absent, exists: true, isDirectory: stat.mode >= IS_DIRECTORY };
    }
    const leads = posix.resolve("/", posix.dirname(asked), stat.linkTarget);
    const reached = await engine.files.stat(container, leads);
    const isDirectory = reached.mode >= IS_DIRECTORY;
    return { path: leads, exists: true, isDirectory, rebaseName: "" };
  } catch (error) {
    if (!isNaruError(error, "not_found")) throw error;
    // The container itself may be what is missing: HEAD has no text to say so.
    await engine.containers.inspect(container);
    return absent;
  }
}

const REDRAW_MS = 100;

/** On a terminal, how much was copied. */
class CopyProgress {
  readonly #io: CliIo;
  readonly #shown: boolean;
  readonly #what: string;
  #bytes = 0;
  #drawnMs = 0;

  constructor(io: CliIo, quiet: boolean, what: string) {
    this.#io = io;
    this.#shown = !quiet && io.stdout.isTty && io.stderr.isTty;
    this.#what = what;
  }

  async *count(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#bytes += chunk.byteLength;
      const nowMs = this.#io.nowMs();
      if (this.#shown && nowMs - this.#drawnMs >= REDRAW_MS) {
        this.#drawnMs = nowMs;
        this.#io.stderr.print(`\r\u001b[2KCopying ${this.#what} - ${formatSize(this.#bytes)}`);
      }
      yield chunk;
    }
  }

  done(where: string): void {
    if (!this.#shown) return;
    const line = `Successfully copied ${formatSize(this.#bytes, 3)} to ${where}`;
    this.#io.stderr.print(`\r\u001b[2K${line}\n`);
  }
}
