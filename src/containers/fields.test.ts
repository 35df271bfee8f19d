import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { emptyConfig, emptyHostConfig } from "../../test/fakes/bodies.ts";
import { CONFIG_FIELDS, HOST_CONFIG_FIELDS } from "./fields.ts";
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

test("a refused field that asks for something is refused by its name", () => {
  const wishes: Record<string, unknown> = {
    DeviceRequests: [{ Driver: "", Count: 1, DeviceIDs: null, Capabilities: null, Options: null }],
    CpuCount: 1,
    CpuPercent: 1,
    IOMaximumIOps: 1,
    IOMaximumBandwidth: 1,
    VolumeDriver: "nfs",
    Cgroup: "container:x",
    Links: ["a:b"],
    StorageOpt: { size: "1g" },
    UsernsMode: "private",
    Isolation: "hyperv",
  };
  // The network room refuses these two; its own tests show it.
  const elsewhere = ["PortBindings", "PublishAllPorts"];
  const refused = Object.entries(HOST_CONFIG_FIELDS).filter(
    ([, row]) => row.treatment === "refused",
  );
  for (const [field] of refused) {
    if (elsewhere.includes(field)) continue;
    expect(wishes).toHaveProperty(field);
    const body = { ...emptyHostConfig(), [field]: wishes[field] };
    expect(() => checkHostConfig(body)).toThrow(`HostConfig.${field}`);
  }
});
