import { expect, test } from "bun:test";
import type { CliIo, OutputStream } from "./io.ts";
import { runCli } from "./run-cli.ts";

/** Runs one command line where no engine answers. */
async function run(
  program: string,
  ...args: readonly string[]
): Promise<{ exitCode: number; out: string; err: string }> {
  const texts = { out: "", err: "" };
  const output = (name: "out" | "err"): OutputStream => ({
    isTty: false,
    columns: () => undefined,
    rows: () => undefined,
    print: (text) => {
      texts[name] += text;
    },
    write: async (bytes) => {
      texts[name] += Buffer.from(bytes).toString();
    },
  });
  const io: CliIo = {
    stdin: { isTty: false, async *chunks() {}, setRaw: () => Promise.resolve() },
    stdout: output("out"),
    stderr: output("err"),
    environment: { DOCKER_HOST: "unix:///nonexistent/naru.sock" },
    onSignal: () => () => undefined,
    nowMs: () => 0,
  };
  return { exitCode: await runCli(args, { program, io }), ...texts };
}

test("an unknown log level is refused, a known one is taken", async () => {
  const refused = await run("docker", "--log-level", "loud", "ps");
  expect(refused).toEqual({ exitCode: 1, out: "", err: "Unable to parse logging level: loud\n" });
  expect((await run("naru", "-l", "warn", "ps")).err).not.toContain("logging level");
});

test.each([["-D"], ["--log-level=debug"]])("%s shows the requests", async (flag) => {
  expect((await run("naru", flag, "ps")).err).toMatch(/^debug: GET \/_ping: no answer \(/);
  expect((await run("naru", "ps")).err).not.toContain("debug:");
});

test("images whose signatures must be checked are refused", async () => {
  for (const line of [
    ["pull", "x"],
    ["push", "x"],
    ["run", "x"],
    ["create", "x"],
  ]) {
    const [command = "", image = ""] = line;
    const { exitCode, err } = await run("naru", command, "--disable-content-trust=false", image);
    expect([command, exitCode > 0, err.includes("not supported")]).toEqual([command, true, true]);
  }
});

test("an unknown command is named in each program's way", async () => {
  expect((await run("docker", "pss")).err).toBe(
    "docker: unknown command: docker pss\n\nRun 'docker --help' for more information\n",
  );
  expect((await run("naru", "pss")).err).toContain("did you mean 'ps'?");
});

test("a wrong number of arguments shows the usage in each program's way", async () => {
  expect((await run("docker", "rm")).err).toBe(
    "docker: 'docker rm' requires at least 1 argument\n\n" +
      "Usage:  docker rm [OPTIONS] CONTAINER [CONTAINER...]\n\n" +
      "See 'docker rm --help' for more information\n",
  );
  expect((await run("naru", "rm")).err).toStartWith('"naru rm" requires at least 1 argument\n');
});
