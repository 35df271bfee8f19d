import { expect, test } from "bun:test";
import { constants } from "node:os";
import { parseSignal } from "./signals.ts";

test("names are read as Docker reads them", () => {
  for (const text of ["9", "KILL", "SIGKILL", "sigkill", " kill "]) {
    expect(parseSignal(text)).toBe(9);
  }
  expect(parseSignal("RTMIN")).toBe(34);
  expect(parseSignal("SIGRTMIN+3")).toBe(37);
  expect(parseSignal("RTMAX-2")).toBe(62);
});

test("what is no signal is refused with Docker's words", () => {
  for (const text of ["0", "65", "NOPE", "RTMIN-1", "RTMAX+1", "", "-9", "1.5"]) {
    expect(() => parseSignal(text)).toThrow(`Invalid signal: ${text}`);
  }
});

test("numbers agree with the C library's", () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    expect(parseSignal(name)).toBe(number);
  }
});
