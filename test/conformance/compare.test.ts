import { expect, test } from "bun:test";
import { differences, excuse } from "./compare.ts";

test("null, [], {} and absent are four different things", () => {
  const with_ = (json: unknown) => [{ step: "GET /x", json }];
  const forms: unknown[] = [{ a: null }, { a: [] }, { a: {} }, {}];
  for (const left of forms) {
    for (const right of forms) {
      expect(differences(with_(left), with_(right)).length > 0).toBe(left !== right);
    }
  }
});

test("a missing answer differs in every leaf", () => {
  const found = differences([{ step: "GET /x", status: 200, headers: {} }], []);
  expect(found.map(({ path, naru }) => [path, naru])).toContainEqual(["status", "absent"]);
});

test("an excuse needs the case, the step, the path and naru's own value", () => {
  const entry = { why: "w", case: /^wait$/, step: /^POST/, path: /^status$/, naru: /^400$/ };
  const difference = { step: "POST /x", path: "status", docker: "500", naru: "400" };
  expect(excuse("wait", difference, [entry])).toBe(entry);
  expect(excuse("start", difference, [entry])).toBeUndefined();
  expect(excuse("wait", { ...difference, step: "GET /x" }, [entry])).toBeUndefined();
  expect(excuse("wait", { ...difference, path: "json" }, [entry])).toBeUndefined();
  expect(excuse("wait", { ...difference, naru: "418" }, [entry])).toBeUndefined();
  expect(excuse("wait", difference, [{ ...entry, docker: /^500$/ }])).toBeDefined();
  expect(excuse("wait", difference, [{ ...entry, docker: /^200$/ }])).toBeUndefined();
});
