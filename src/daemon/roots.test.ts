import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { takeRoots } from "./roots.ts";

const root: string = mkdtempSync("/tmp/naru-roots-");
afterAll(() => rmSync(root, { recursive: true, force: true }));

const NO_PROCESS = 4_194_305; // above the kernel's PID_MAX_LIMIT

test("a lock that a dead engine left to its child is waited for", async () => {
  const dataRoot = join(root, "data");
  const lock = join(dataRoot, "engine.lock");
  mkdirSync(dataRoot);
  writeFileSync(lock, `${NO_PROCESS}\n`);
  const child = Bun.spawn(["flock", lock, "sh", "-c", "echo held; sleep 0.1"], { stdout: "pipe" });
  await child.stdout.getReader().read();
  const roots = takeRoots(dataRoot, join(root, "exec"));
  expect(readFileSync(lock, "utf8").trim()).toBe(String(process.pid));
  roots.release();
  await child.exited;
});
