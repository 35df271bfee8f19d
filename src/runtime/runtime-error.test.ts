import { expect, test } from "bun:test";
import { translateRuntimeError } from "./runtime-error.ts";

const CASES: [string, string, string, number][] = [
  // what the runtime says, the command, what clients look for, the exit code
  [
    "executable file `foo` not found in $PATH: No such file or directory",
    "foo",
    'exec: "foo": executable file not found in $PATH',
    127,
  ],
  [
    "executable file `/foo` not found in $PATH: No such file or directory",
    "/foo",
    'exec: "/foo": stat /foo: no such file or directory',
    127,
  ],
  [
    "open executable: Operation not permitted",
    "/etc",
    'exec: "/etc": is a directory: permission denied',
    126,
  ],
  ["open executable: Permission denied", "/x", 'exec: "/x": permission denied', 126],
  [
    "chdir `/noexec`: Not a directory",
    "sh",
    'chdir to cwd ("/noexec") set in config.json failed: not a directory',
    126,
  ],
  [
    "error stat'ing file `/none`: No such file or directory",
    "sh",
    "stat /none: no such file or directory",
    127,
  ],
  [
    'time="2026-11-20T22:35:30Z" level=error msg="runc create failed: unable to start container process: exec: \\"foo\\": executable file not found in $PATH"',
    "foo",
    'exec: "foo": executable file not found in $PATH',
    127,
  ],
  [
    "OOM: the memory limit could be too low: read from sync socket: Connection reset by peer",
    "sh",
    "OOM: the memory limit",
    128,
  ],
  ["", "sh", "the runtime gave no reason", 128],
];

test("crun's and runc's words become Docker's", () => {
  for (const [text, command, wanted, exitCode] of CASES) {
    const error = translateRuntimeError("create", text, command);
    expect(error.message).toContain("OCI runtime create failed: ");
    expect(error.message).toContain(wanted);
    expect(error.message).toEndWith(": unknown");
    expect([text, error.details]).toEqual([text, { exitCode }]);
  }
});

test("an exec has its own prefix", () => {
  expect(translateRuntimeError("exec", "open executable: Permission denied", "/x").message).toBe(
    'OCI runtime exec failed: exec failed: unable to start container process: exec: "/x": permission denied: unknown',
  );
});
