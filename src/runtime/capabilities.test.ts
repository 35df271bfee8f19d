import { expect, test } from "bun:test";
import {
  allCapabilities,
  containerCapabilities,
  DEFAULT_CAPABILITIES,
  parseHostCapabilities,
} from "./capabilities.ts";

const modern = { lastCapability: 40, bounding: (1n << 41n) - 1n };
const none = { add: [], drop: [] };

test("the default is Docker's fourteen", () => {
  expect(containerCapabilities(none, modern)).toEqual([...DEFAULT_CAPABILITIES]);
  expect(DEFAULT_CAPABILITIES.length).toBe(14);
});

test("names come in all of Docker's spellings", () => {
  for (const name of ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"]) {
    expect(containerCapabilities({ add: [name], drop: [] }, modern)).toContain("CAP_NET_ADMIN");
  }
  expect(containerCapabilities({ add: [], drop: ["all"] }, modern)).toEqual([]);
  expect(containerCapabilities({ add: ["KILL"], drop: ["ALL"] }, modern)).toEqual(["CAP_KILL"]);
  const allButOne = containerCapabilities({ add: ["ALL"], drop: ["SYS_ADMIN"] }, modern);
  expect(allButOne.length).toBe(40);
  expect(allButOne).not.toContain("CAP_SYS_ADMIN");
});

test("a name that does not exist is refused", () => {
  expect(() => containerCapabilities({ add: ["FLY"], drop: [] }, modern)).toThrow(
    'invalid CapAdd: unknown capability: "CAP_FLY"',
  );
  expect(() => containerCapabilities({ add: [], drop: ["CAP_"] }, modern)).toThrow("CapDrop");
});

test("an old kernel knows fewer", () => {
  const old = { lastCapability: 37, bounding: (1n << 41n) - 1n };
  expect(allCapabilities(old).length).toBe(38);
  expect(() => containerCapabilities({ add: ["BPF"], drop: [] }, old)).toThrow("not supported");
});

test("what the host withholds is left out of the defaults and refused when asked for", () => {
  const text = "Name:\tx\nCapBnd:\t000001fffeffffff\n";
  const host = parseHostCapabilities("40\n", text);
  expect(allCapabilities(host)).not.toContain("CAP_SYS_RESOURCE");
  expect(() => containerCapabilities({ add: ["SYS_RESOURCE"], drop: [] }, host)).toThrow(
    "CAP_SYS_RESOURCE",
  );
});
