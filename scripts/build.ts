/** `npm run build`: one file, dist/naru, that needs no sources and no node_modules. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { runOrThrow } from "./program.ts";

const ROOT: string = join(import.meta.dir, "..");
const BUILD_LIMIT_MS = 120_000; // 1 to 2 s on an idle machine

/** Where the built file goes. */
export const BINARY: string = join(ROOT, "dist/naru");

/**
 * Builds when a source is newer than the file or `force` is given. True when it was built.
 * `dist/docker` and `dist/dockerd` are the same file by the names that Docker's users type.
 */
export async function build(options: { readonly force: boolean }): Promise<boolean> {
  if (!options.force && isCurrent()) return false;
  await mkdir(join(ROOT, "dist"), { recursive: true });
  const aside = `${BINARY}.${process.pid}`;
  try {
    await runOrThrow([process.execPath, ...buildArguments(ROOT, aside)], {
      cwd: ROOT,
      limitMs: BUILD_LIMIT_MS,
    });
    await rename(aside, BINARY); // a running engine keeps the old file
  } finally {
    await rm(aside, { force: true });
  }
  for (const name of ["docker", "dockerd"]) {
    const link = join(ROOT, "dist", name);
    await rm(link, { force: true });
    await symlink("naru", link);
  }
  return true;
}

/**
 * `--bytecode` needs `--format=esm` for top-level await; with `--splitting` a start reads only the
 * chunk of its own mode. Together: 3 ms to `--version`, against 16 ms without any of them. Names are
 * kept (no `--minify`): it gained nothing and spoils stack traces.
 */
export function buildArguments(root: string, outfile: string): readonly string[] {
  const flags = ["--compile", "--bytecode", "--format=esm", "--splitting", "--sourcemap=none"];
  // A .env or bunfig.toml in the folder where a user stands must not change what the engine does.
  const closed = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  // Without a root of its own Bun guesses one, and guesses another when a Worker is added.
  const names = ["--root", join(root, "src")];
  return ["build", ...flags, ...closed, ...names, ...entryPoints(root), "--outfile", outfile];
}

/** main.ts and every Worker: one that is forgotten fails only when it is started. */
export function entryPoints(root: string): readonly string[] {
  const workers = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".worker.ts"))
    .toSorted();
  return ["src/main.ts", ...workers.map((path) => join("src", path))];
}

function isCurrent(): boolean {
  if (!existsSync(BINARY)) return false;
  const builtMs = statSync(BINARY).mtimeMs;
  const inputs = [join(ROOT, "package.json"), join(ROOT, "package-lock.json"), import.meta.path];
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" });
  return [...inputs, ...sources.map((path) => join(ROOT, "src", path))].every(
    (path) => /[.](test|suite)[.]ts$|[.]md$/.test(path) || statSync(path).mtimeMs <= builtMs,
  );
}

if (import.meta.main) {
  const startedMs = performance.now();
  try {
    await build({ force: true });
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const size = (statSync(BINARY).size / 1e6).toFixed(0);
  console.log(`built dist/naru: ${size} MB in ${seconds} s`);
}
