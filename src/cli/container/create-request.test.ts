import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { changesOf } from "../../../test/golden/cli/shape.ts";
import { commandWords } from "../../../test/golden/cli/words.ts";
import { parseFlags } from "../flags/parse-flags.ts";
import { CONTAINER_FLAGS, RUN_FLAGS } from "./container-flags.ts";
import { createRequestOf } from "./create-request.ts";

interface Golden {
  readonly plain: unknown;
  readonly results: Record<string, { refused?: string; query?: object; changes?: object }>;
}

const FOLDER = join(import.meta.dir, "../../../test/golden/cli");
const golden = JSON.parse(readFileSync(join(FOLDER, "create.json"), "utf8")) as Golden;
const environment = { GOLDEN_FROM_ENV: "seen", HOME_LIKE: "home" };

function request(line: string): { query: Record<string, string>; body: unknown } {
  const [command, ...words] = commandWords(line);
  const flags = command === "run" ? RUN_FLAGS : CONTAINER_FLAGS;
  const { values, args } = parseFlags(words, flags, { stopAtArgument: true });
  const detach = command === "run" && values.bool("detach");
  const made = createRequestOf(values, args, { environment, consoleSize: [0, 0], detach });
  const query: Record<string, string> = {};
  if (made.name !== "") query["name"] = made.name;
  if (made.platform !== "") query["platform"] = made.platform;
  return { query, body: JSON.parse(JSON.stringify(made.body)) as unknown };
}

describe("the create request is the one that docker's client sends", () => {
  test("create busybox, every field", () => {
    expect(request("create busybox").body).toEqual(golden.plain);
  });

  for (const [line, wanted] of Object.entries(golden.results)) {
    test(line, () => {
      if (wanted.refused !== undefined) expect(() => request(line)).toThrow();
      else expect(changesOf(golden.plain, request(line)) as unknown).toEqual(wanted as unknown);
    });
  }
});
