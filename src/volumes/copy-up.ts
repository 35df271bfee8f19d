import { readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { NaruError } from "../base/mod.ts";
import { close, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, open } from "../linux/mod.ts";

/**
 * Copies a directory's content and its own owner, mode and times into an empty volume. A mark
 * beside the data says that a copy is under way: found at the next use, the copy is done again.
 * The coreutils do the walk: they keep xattrs, sparse files, hard links and devices, and run beside
 * the engine instead of on its thread.
 */
export async function copyUp(request: {
  readonly sourceDir: string;
  readonly targetDir: string;
  /** A file beside the data. */
  readonly mark: string;
}): Promise<void> {
  const { mark } = request;
  const [present, beside] = await Promise.all([readdir(request.targetDir), readdir(dirname(mark))]);
  if (present.length > 0 && !beside.includes(basename(mark))) return;
  await writeFile(mark, "");
  // Held open so that the name cannot be exchanged for a link between the check and the copy.
  const sourceFd = open(request.sourceDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const source = `/proc/${process.pid}/fd/${sourceFd}/.`;
    const child = Bun.spawn(["cp", "-a", "--", source, request.targetDir], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
    const message = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) {
      const firstLine = message.split("\n")[0] ?? "";
      throw new NaruError("internal", `copying the image's files into a volume: ${firstLine}`);
    }
  } finally {
    close(sourceFd);
  }
  await rm(mark, { force: true });
}
