/**
 * Modern hosts run cgroup v2 under a distribution's kernel; this one may not. The engine is driven in
 * a virtual machine that does. What runs there is `guest/cgroup2.ts`: each test of it is one here.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { privileged } from "../harness/cli.ts";
import { naruCommand, ROOT } from "../harness/program.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { debianKernel } from "./kernel.ts";
import { runInVm, type VmResult, vmObstacle } from "./machine.ts";
import { readTestCases, type TestCase } from "./report.ts";

const GUESTS = ["cgroup2.ts", "volume-limits.ts"];
const VM_LIMIT_MS = 240_000; // 40 s with both cores free; emulation shares them with other suites

const obstacle: string | undefined = await findObstacle();

async function findObstacle(): Promise<string | undefined> {
  if (!privileged()) return "the files of this host can be shared by root only";
  const lacking = vmObstacle();
  if (lacking !== undefined) return lacking;
  try {
    await debianKernel();
    return undefined;
  } catch (error) {
    return `no kernel to boot: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The guest has no Bun of its own: this one runs the tests there too. */
function guestScript(): string {
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  const guests = GUESTS.map((name) => join(ROOT, "test/vm/guest", name));
  const report = ["--reporter=junit", "--reporter-outfile=/run/report.xml"];
  return [
    `cd ${quote(ROOT)}`,
    [process.execPath, "test", ...guests, ...report].map(quote).join(" "),
    "cat /run/report.xml > /dev/ttyS1",
    "",
  ].join("\n");
}

async function boot(): Promise<VmResult> {
  naruCommand(); // throws here, and not in the guest, when nothing was built
  await busyboxFiles(); // there the cache cannot be written
  return await runInVm(guestScript(), VM_LIMIT_MS);
}

test("a torn report, a failure and a skipped test are no pass", () => {
  const passed = '<testcase name="a &lt;b&gt;" time="1" />';
  const failed = '<testcase name="c" time="1">\n<failure type="AssertionError" />\n</testcase>';
  const skipped = '<testcase name="d" time="0">\n<skipped />\n</testcase>';
  const whole = `<testsuites>${passed}${failed}${skipped}</testsuites>`;
  expect(readTestCases(whole)).toEqual([
    { name: "a <b>", outcome: "passed" },
    { name: "c", outcome: "failed" },
    { name: "d", outcome: "skipped" },
  ]);
  expect(readTestCases(whole.slice(0, -5))).toEqual([]);
});

if (obstacle !== undefined) {
  console.log(`SKIPPED the virtual machine: ${obstacle}`);
  test.skip(`the engine under cgroup v2: ${obstacle}`, () => undefined);
} else {
  const result = await boot();
  const cases = readTestCases(result.report);
  const failed = (one: TestCase): boolean => one.outcome !== "passed";
  if (cases.length === 0 || cases.some(failed)) console.log(result.console);
  describe("under cgroup v2, on Debian's kernel", () => {
    test("the machine ran its tests and powered off", () => {
      expect(result.console).toContain("reboot: Power down");
      expect(cases.length).toBeGreaterThan(0);
    });
    for (const one of cases) {
      test(one.name, () => expect(one.outcome).toBe("passed"));
    }
  });
}
