import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { emptyConfig, emptyHostConfig } from "../../test/fakes/bodies.ts";
import { CONFIG_FIELDS, type FieldTreatment, HOST_CONFIG_FIELDS } from "./fields.ts";
import { checkHostConfig } from "./host-config-check.ts";

test("every field of a decoded body has a row, and every row names a file that is there", () => {
  for (const field of Object.keys(emptyConfig())) expect(CONFIG_FIELDS).toHaveProperty(field);
  for (const field of Object.keys(emptyHostConfig())) {
    expect(HOST_CONFIG_FIELDS).toHaveProperty(field);
  }
  const rows = [...Object.values(CONFIG_FIELDS), ...Object.values(HOST_CONFIG_FIELDS)];
  const missing = rows.filter(({ where }) => !existsSync(join(import.meta.dir, "..", where)));
  expect(missing).toEqual([]);
});

const ROOT = join(import.meta.dir, "../..");

function textOf(path: string): string {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : "";
}

test("every field has a test of its own, and every such test a field", () => {
  const named = (part: string, rows: object): [string, FieldTreatment][] =>
    Object.entries(rows).map(([field, row]) => [`${part}.${field}`, row as FieldTreatment]);
  const rows = [...named("Config", CONFIG_FIELDS), ...named("HostConfig", HOST_CONFIG_FIELDS)];
  const unproved = rows.filter(([name, { treatment, proof }]) =>
    treatment === "refused"
      ? !textOf(proof).includes(`${name.split(".")[1]}`)
      : !/^test\/(?:e2e|vm)\//.test(proof) || !textOf(proof).includes(`"${name}"`),
  );
  expect(unproved.map(([name]) => name)).toEqual([]);
  const proofs = ["test/e2e/fields.test.ts", "test/e2e/fields-limits.test.ts"];
  const tested = proofs.flatMap((path) =>
    [...textOf(path).matchAll(/^ {2}"((?:Host)?Config\.\w+)":/gm)].map(([, name]) => name),
  );
  const known = new Set(rows.map(([name]) => name));
  expect(tested.filter((name) => !known.has(name ?? ""))).toEqual([]);
  expect(new Set(tested).size).toBe(tested.length);
});

test("a refused field that asks for something is refused by its name", () => {
  const wishes: Record<string, unknown> = {
    CpuCount: 1,
    CpuPercent: 1,
    IOMaximumIOps: 1,
    IOMaximumBandwidth: 1,
    Cgroup: "container:x",
    UsernsMode: "private",
    Isolation: "hyperv",
  };
  const refused = Object.entries(HOST_CONFIG_FIELDS).filter(
    ([, row]) => row.treatment === "refused",
  );
  for (const [field] of refused) {
    expect(wishes).toHaveProperty(field);
    const body = { ...emptyHostConfig(), [field]: wishes[field] };
    expect(() => checkHostConfig(body)).toThrow(`HostConfig.${field}`);
  }
});
