import { describe, expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { isNaruError } from "../base/mod.ts";
import {
  field,
  flag,
  int64,
  JSON_DEPTH_MAX,
  list,
  map,
  object,
  omitEmpty,
  parseJson,
  pointer,
  text,
  textOrList,
  whole,
} from "./decode.ts";
import {
  decodeContainerCreate,
  decodeContainerUpdate,
  decodeExecCreate,
  decodeExecStart,
  decodeFilters,
} from "./mod.ts";

const seed = Number(process.env["NARU_FUZZ_SEED"] ?? randomInt(2 ** 31));
console.log(`decode.test.ts seed ${seed}`);

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isNaruError(error, "invalid_argument")) return error.message;
    throw error;
  }
  throw new Error("was accepted");
}

interface Thing {
  Name: string;
  Count: number;
  Flags?: string[] | null;
  Inner: { Deep: boolean | null };
  Labels: Record<string, string> | null;
}
const thing = object<Thing>({
  Name: field(text),
  Count: field(int64),
  Flags: omitEmpty(list(text)),
  Inner: field(object<{ Deep: boolean | null }>({ Deep: field(pointer(flag)) })),
  Labels: field(map(text)),
});
const ZERO: Thing = { Name: "", Count: 0, Inner: { Deep: null }, Labels: null };

describe("Go's rules", () => {
  test("absent and null are zero values in full shape", () => {
    expect(thing({}, "")).toEqual(ZERO);
    expect(thing(null, "")).toEqual(ZERO);
    expect(thing({ Name: null, Count: null, Inner: null, Labels: null, Flags: [] }, "")).toEqual(
      ZERO,
    );
  });

  test("names match without regard to case, the last wins, unknown ones are ignored", () => {
    const value = parseJson('{"NAME":"a","name":"b","Future":[1],"inner":{"DEEP":true}}');
    expect(thing(value, "")).toEqual({ ...ZERO, Name: "b", Inner: { Deep: true } });
    expect(thing(parseJson('{"Name":"a","Name":"c"}'), "").Name).toBe("c");
  });

  test("no key is special", () => {
    const value = parseJson(
      '{"__proto__":{"Name":"evil"},"constructor":1,"Labels":{"__proto__":"x","constructor":"y"}}',
    );
    const decoded = thing(value, "");
    expect(decoded.Name).toBe("");
    expect(JSON.stringify(decoded.Labels)).toBe('{"__proto__":"x","constructor":"y"}');
    expect(({} as { Name?: string }).Name).toBeUndefined();
  });

  test.each([
    [{ Name: 1 }, "Name: want a string, got 1"],
    [{ Count: "abc" }, 'Count: want a whole number, got "abc"'],
    [{ Count: 1.5 }, "Count: want a whole number, got 1.5"],
    [{ Count: 2 ** 53 }, "Count: want a whole number from"],
    [{ Count: 1e30 }, "Count: want a whole number from"],
    [{ Inner: [] }, "Inner: want an object, got []"],
    [{ Inner: { Deep: "yes" } }, 'Inner.Deep: want true or false, got "yes"'],
    [{ Labels: { a: 1 } }, "Labels.a: want a string, got 1"],
    [{ Flags: [1] }, "Flags[0]: want a string, got 1"],
  ])("%j is refused by path", (value, message) => {
    expect(refusal(() => thing(value, ""))).toStartWith(message);
  });

  test("depth is bounded, and brackets in strings do not count", () => {
    expect(refusal(() => parseJson("[".repeat(100_000)))).toContain("nested deeper");
    expect(parseJson(`["${"[".repeat(JSON_DEPTH_MAX * 2)}\\"{"]`)).toBeArray();
    for (const bad of ["", "  ", "{", "{}{}", "undefined", "{'a':1}", "\u0000"]) {
      expect(refusal(() => parseJson(bad))).not.toBe("");
    }
  });

  test("a list of one may be a string where Docker takes that", () => {
    expect([textOrList("id", ""), textOrList(["a", null], ""), textOrList(null, "")]).toEqual([
      ["id"],
      ["a", ""],
      null,
    ]);
    expect(whole(0, 5)(-0, "")).toBe(0);
  });
});

describe("bodies", () => {
  test("create", () => {
    const body = decodeContainerCreate({
      Image: "i",
      ExposedPorts: { "80/tcp": { x: 1 } },
      Volumes: { "/v": {} },
      StopTimeout: 0,
    });
    expect(body).toMatchObject({
      ExposedPorts: { "80/tcp": {} },
      Volumes: { "/v": {} },
      StopTimeout: 0,
      Env: null,
    });
    expect(body).not.toHaveProperty("StopSignal");
    expect(body.HostConfig).toMatchObject({
      ConsoleSize: [0, 0],
      PidsLimit: null,
      LogConfig: { Type: "", Config: null },
    });
    expect(refusal(() => decodeContainerCreate({ HostConfig: {} }))).toContain(
      "Config cannot be empty",
    );
    for (const port of ["x", "80/icmp", "70000/tcp", "9-8/tcp", "", "80/tcp/udp", "-1"]) {
      expect(
        refusal(() => decodeContainerCreate({ Image: "i", ExposedPorts: { [port]: {} } })),
      ).toContain("invalid port");
    }
    expect(
      refusal(() => decodeContainerCreate({ Image: "i", HostConfig: { BlkioWeight: -1 } })),
    ).toContain("HostConfig.BlkioWeight");
  });

  test("exec", () => {
    expect(refusal(() => decodeExecCreate({}))).toBe("No exec command specified");
    expect(refusal(() => decodeExecCreate({ Cmd: "true" }))).toBe('Cmd: want a list, got "true"');
    expect(decodeExecStart({})).toEqual({ Detach: false, Tty: null, ConsoleSize: null });
    expect(decodeExecStart({ tty: true, consolesize: [1, 2, 3] })).toEqual({
      Detach: false,
      Tty: true,
      ConsoleSize: [1, 2],
    });
  });

  test("filters in both shapes", () => {
    const both = ['{"label":["a=b","c"]}', '{"label":{"a=b":true,"c":true}}'];
    for (const one of both) expect(decodeFilters(one).get("label")).toEqual(["a=b", "c"]);
    for (const none of [null, "", "null", "{}"]) expect(decodeFilters(none).size).toBe(0);
    expect(refusal(() => decodeFilters("{"))).toContain("filters: invalid JSON");
    expect(refusal(() => decodeFilters('{"x":["y"]}', new Set(["label"])))).toBe(
      "invalid filter 'x'",
    );
    for (const bad of [
      "notjson",
      "[]",
      '{"label":"a"}',
      '{"label":[1]}',
      '{"label":{"a":1}}',
      "{",
    ]) {
      expect(refusal(() => decodeFilters(bad))).not.toBe("");
    }
  });
});

describe("properties", () => {
  test("whatever the JSON, the answer is a full shape or a refusal", () => {
    const keys = [
      "Image",
      "Cmd",
      "HostConfig",
      "Memory",
      "PortBindings",
      "Labels",
      "Mounts",
      "80/tcp",
      "__proto__",
      "Ulimits",
    ];
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.string(),
        fc.double(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(json, (value) => {
        try {
          const body = decodeContainerCreate(parseJson(JSON.stringify(value)));
          expect(typeof body.HostConfig.Memory).toBe("number");
        } catch (error) {
          if (!isNaruError(error, "invalid_argument")) throw error;
        }
      }),
      { seed, numRuns: 2_000 },
    );
  });

  test("decoding what was decoded changes nothing", () => {
    const resources = fc.record(
      {
        Memory: fc.maxSafeInteger(),
        CpusetCpus: fc.string(),
        Ulimits: fc.option(fc.array(fc.record({ Name: fc.string(), Hard: fc.integer() }))),
        PidsLimit: fc.option(fc.integer()),
        Devices: fc.array(fc.record({ PathOnHost: fc.string() })),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(resources, (value) => {
        const once = decodeContainerUpdate(JSON.parse(JSON.stringify(value)));
        expect(decodeContainerUpdate(JSON.parse(JSON.stringify(once)))).toEqual(once);
      }),
      { seed },
    );
  });
});
