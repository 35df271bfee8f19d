import { describe, expect, test } from "bun:test";
import { RUN_FLAGS } from "../container/container-flags.ts";
import { nearest, parseFlags } from "./parse-flags.ts";

function parse(line: string): ReturnType<typeof parseFlags> {
  return parseFlags(line.split(" "), RUN_FLAGS, { stopAtArgument: true });
}

describe("flags are read as pflag reads them", () => {
  test("combined short flags, the last with a value", () => {
    const { values, args } = parse("-itu root busybox sh -c ls");
    expect(values.bool("interactive")).toBe(true);
    expect(values.bool("tty")).toBe(true);
    expect(values.string("user")).toBe("root");
    expect(args).toEqual(["busybox", "sh", "-c", "ls"]);
  });
  test("a value may follow, touch, or come after =", () => {
    const { values } = parse("-m 1g -eA=1 -e=B=2 --env=C=3 --env D=4 x");
    expect(values.string("memory")).toBe("1g");
    expect(values.list("env")).toEqual(["A=1", "B=2", "C=3", "D=4"]);
  });
  test("a bool takes a value only after =", () => {
    const { values, args } = parse("--rm=false -t=0 busybox");
    expect(values.bool("rm")).toBe(false);
    expect(values.bool("tty")).toBe(false);
    expect(args).toEqual(["busybox"]);
  });
  test("-- ends flags, and -h of run is the host name", () => {
    expect(parse("-- -x y").args).toEqual(["-x", "y"]);
    expect(parse("-h box img").values.string("hostname")).toBe("box");
    expect(parse("--help").help).toBe(true);
  });
  const refused: readonly (readonly [string, string])[] = [
    ["--nosuch x", "unknown flag: --nosuch"],
    ["--memry 1g x", "did you mean --memory?"],
    ["-Z x", "unknown shorthand flag: 'Z' in -Z"],
    ["--name", "flag needs an argument: --name"],
    ["-e", "flag needs an argument: 'e' in -e"],
    ["--rm=maybe x", 'invalid argument "maybe" for "--rm" flag'],
    ["--cpu-shares abc x", 'invalid argument "abc" for "-c, --cpu-shares" flag'],
  ];
  for (const [line, message] of refused) {
    test(line, () => expect(() => parse(line)).toThrow(message));
  }
});

test("a slip of the finger is recognised, another word is not", () => {
  expect(nearest("rnu", ["run", "rm", "exec"])).toBe("run");
  expect(nearest("completely", ["run", "rm", "exec"])).toBeUndefined();
});

test("no flag of run has the name or letter of another", () => {
  const names = RUN_FLAGS.flatMap((flag) => [flag.name, ...(flag.aliases ?? [])]);
  const letters = RUN_FLAGS.flatMap((flag) => flag.short ?? []);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(letters).size).toBe(letters.length);
  // docker documents 102 with --help; --kernel-memory and --disable-content-trust are old ones, and
  // --on-unhealthy is ours.
  expect(RUN_FLAGS.length + 1 - 2 - 1).toBe(102);
});
