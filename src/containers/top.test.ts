import { describe, expect, test } from "bun:test";
import { parsePs, splitArguments } from "./top.ts";

describe("rows of ps", () => {
  test("are those of the container only, the command keeps its words", () => {
    const text = "UID   PID  PPID CMD\nroot    7     1 sleep 10\nroot    8     1 sh -c  x\n\n";
    expect(parsePs(text, new Set([8]))).toEqual({
      Titles: ["UID", "PID", "PPID", "CMD"],
      Processes: [["root", "8", "1", "sh -c x"]],
    });
  });

  test("of threads go with their process", () => {
    const text = "PID TTY STAT\n7 ? -\n- - S\n8 ? -\n- - R\n";
    expect(parsePs(text, new Set([8])).Processes).toEqual([
      ["8", "?", "-"],
      ["-", "-", "R"],
    ]);
  });

  test("cannot be told apart without a column PID", () => {
    expect(() => parsePs("COMMAND\nsleep\n", new Set([1]))).toThrow(
      "Couldn't find PID field in ps output",
    );
    expect(() => parsePs("", new Set([1]))).toThrow("Couldn't find PID field");
  });
});

describe("arguments of ps", () => {
  test("are words", () => {
    expect(splitArguments(" -o  pid,args ")).toEqual(["-o", "pid,args"]);
    expect(splitArguments("-o pid=PID")).toEqual(["-o", "pid=PID"]);
    expect(splitArguments("-opid=PID")).toEqual(["-opid=PID"]);
  });

  test("may not call another column PID", () => {
    for (const text of [
      "-o ppid=PID",
      "-o pid,ppid=PID",
      "-oppid= PID",
      "o args=PIDX",
      "-oargs=PID",
    ]) {
      expect(() => splitArguments(text)).toThrow("is not allowed");
    }
    expect(() => splitArguments("-o\0")).toThrow("ps_args");
    expect(() => splitArguments("x".repeat(2000))).toThrow("ps_args");
  });
});
