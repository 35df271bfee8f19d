/**
 * Records what the stock docker CLI sends for every command line of `cases.ts` into `create.json`.
 * Usage: bun test/golden/cli/record.ts [/path/to/docker]
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CREATE_CASES } from "./cases.ts";
import { startFakeEngine } from "./fake-engine.ts";
import { changesOf } from "./shape.ts";
import { commandWords } from "./words.ts";

const docker = process.argv[2] ?? "docker";
const folder = mkdtempSync(join(tmpdir(), "naru-golden-"));
await using engine = startFakeEngine(join(folder, "engine.sock"));
const results: Record<string, unknown> = {};
let plain: unknown;
for (const line of CREATE_CASES) {
  const child = Bun.spawn([docker, ...commandWords(line)], {
    env: { DOCKER_HOST: engine.host, HOME: folder, GOLDEN_FROM_ENV: "seen", HOME_LIKE: "home" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  await child.exited;
  const recorded = engine.creates.splice(0)[0];
  rmSync(join(import.meta.dir, "cid.tmp"), { force: true });
  plain ??= recorded?.body;
  results[line] =
    recorded === undefined ? { refused: stderr.split("\n")[0] } : changesOf(plain, recorded);
}
const version = (await new Response(Bun.spawn([docker, "--version"]).stdout).text()).trim();
const lines = Object.entries(results).map(
  ([k, v]) => `  ${JSON.stringify(k)}: ${JSON.stringify(v)}`,
);
writeFileSync(
  join(import.meta.dir, "create.json"),
  `{\n"version": ${JSON.stringify(version)},\n"plain": ${JSON.stringify(plain)},\n"results": {\n${lines.join(",\n")}\n}\n}\n`,
);
rmSync(folder, { recursive: true, force: true });
