/** What no tool knows about this repository; see tidy-rules.ts. */
import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { changelogProblems, fileProblems, readmeProblems, subjectProblems } from "./tidy-rules.ts";

const root: string = join(import.meta.dir, "..");

function git(...args: readonly string[]): string[] {
  const output = execFileSync("git", ["-c", "safe.directory=*", ...args], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  }).toString();
  return output.split("\0").filter((item) => item !== "");
}

const TEXT = /[.](ts|md|json|sh|yaml|yml|html|css|service|socket)$|^[.]ci\/|LICENSE/;

test("tracked files keep the rules", () => {
  const problems = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    .filter((path) => TEXT.test(path) && !path.startsWith("test/canary/"))
    .filter((path) => path !== "package-lock.json")
    .filter((path) => statSync(join(root, path), { throwIfNoEntry: false })?.isFile() === true)
    .flatMap((path) => fileProblems(path, readFileSync(join(root, path), "utf8")));
  expect(problems).toEqual([]);
});

test("every folder of src has a README.md", () => {
  expect(readmeProblems(root)).toEqual([]);
});

test("commit subjects fit", () => {
  expect(subjectProblems(git("log", "-z", "--format=%s", "--no-merges"))).toEqual([]);
});

test("the changelog has the agreed headings", () => {
  expect(changelogProblems(readFileSync(join(root, "CHANGELOG.md"), "utf8"))).toEqual([]);
});
