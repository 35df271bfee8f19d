import { readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { copyTree } from "./copy-tree.ts";
import { crashPoint } from "./crash-point.ts";

/**
 * Copies a directory's content and its own owner, mode and times into an empty volume. A mark
 * beside the data says that a copy is under way: found at the next use, the copy is done again.
 */
export async function copyUp(request: {
  readonly sourceDir: string;
  readonly targetDir: string;
  /** A file beside the data. */
  readonly mark: string;
}): Promise<void> {
  const { mark, sourceDir, targetDir } = request;
  const [present, beside] = await Promise.all([readdir(targetDir), readdir(dirname(mark))]);
  if (present.length > 0 && !beside.includes(basename(mark))) return;
  await writeFile(mark, "");
  crashPoint("copy-up.after-mark");
  await copyTree(sourceDir, targetDir);
  crashPoint("copy-up.after-copy");
  await rm(mark, { force: true });
}
