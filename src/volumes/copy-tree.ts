import { NaruError } from "../base/mod.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open } from "../linux/mod.ts";

const ENV = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };

/** What cp says of a file that went away while it was copied. */
const VANISHED = /: No such file or directory$/;

/**
 * Copies what is in a directory, and the directory's own owner, mode, times and attributes. The
 * coreutils do the walk: they keep xattrs, holes, hard links and devices, share blocks where the file
 * system can (reflinks), and run beside the engine instead of on its thread. `sourceDir` must be safe
 * to open: links in its last place are not followed. With `live` files may come and go meanwhile.
 */
export async function copyTree(
  sourceDir: string,
  targetDir: string,
  options: { readonly live: boolean } = { live: false },
): Promise<void> {
  // Held open so that the name cannot be exchanged for a link between the check and the copy.
  const sourceFd = open(sourceDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const source = `/proc/${process.pid}/fd/${sourceFd}/.`;
    const problems = (await run("cp", "-a", "--reflink=auto", "--", source, targetDir)).filter(
      (line) => !(options.live && VANISHED.test(line)),
    );
    if (problems.length > 0) {
      const full = problems.some((line) => /No space left|quota exceeded/i.test(line));
      const message = `copying files of a volume: ${problems[0] ?? ""}`;
      throw new NaruError(full ? "exhausted" : "internal", message);
    }
  } finally {
    close(sourceFd);
  }
}

/** Everything of the file system that holds `path` is on disk when this resolves. */
export async function syncFileSystem(path: string): Promise<void> {
  const problems = await run("sync", "-f", "--", path);
  if (problems.length > 0) throw new NaruError("internal", `sync: ${problems[0] ?? ""}`);
}

const STDERR_BYTES_MAX = 64 * 1024; // the first complaints are what people read

/** Lines that the program complained with; empty when it went well. */
async function run(...command: readonly string[]): Promise<string[]> {
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env: ENV,
  });
  let text = "";
  for await (const chunk of child.stderr) {
    if (text.length < STDERR_BYTES_MAX) text += Buffer.from(chunk).toString("utf8");
  }
  if ((await child.exited) === 0) return [];
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.length === 0 ? [`${command[0] ?? ""} failed`] : lines;
}
