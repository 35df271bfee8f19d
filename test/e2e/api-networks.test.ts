import { afterAll, beforeAll, expect, test } from "bun:test";
import { NaruError } from "../../src/base/mod.ts";
import type { NetworkSummary } from "../../src/network/mod.ts";
import type { ContainerSummary } from "../../src/spec/mod.ts";
import { exchange, type FakeEngine, fakeEngine } from "./api-fakes.ts";

const BRIDGE: NetworkSummary = {
  ...{ id: "b".repeat(64), name: "bridge", driver: "bridge", builtIn: true },
  createdAt: "2026-11-20T10:00:00.5Z",
  ...{ enableIPv4: true, enableIPv6: false, internal: false, attachable: false },
  ...{ configOnly: false, configFrom: "", ipamDriver: "default", ipamOptions: null },
  ipam: [{ subnet: "10.9.0.0/24", ipRange: "", gateway: "10.9.0.1", auxiliary: {} }],
  options: {},
  labels: {},
};
const OLD = { ...BRIDGE, id: "e".repeat(64), name: "none", driver: "null", createdAt: "" };

let engine: FakeEngine;
let asked: unknown;

function summary(id: string, name: string, state: string, address: string): ContainerSummary {
  const endpoint = {
    EndpointID: `e-${id}`,
    MacAddress: "02:00:00:00:00:02",
    IPAddress: address,
    IPPrefixLen: 24,
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
  };
  return {
    Id: id,
    Names: [`/${name}`],
    State: state,
    NetworkSettings: { Networks: { bridge: endpoint } },
  } as unknown as ContainerSummary;
}

beforeAll(async () => {
  engine = await fakeEngine({
    networks: {
      networks: () => [BRIDGE, OLD],
      network(ref) {
        const found = [BRIDGE, OLD].find(({ id, name }) => name === ref || id.startsWith(ref));
        if (found === undefined) throw new NaruError("not_found", `network ${ref} not found`);
        return found;
      },
      containersOn: () => [],
    },
    containers: {
      list: async (options) => {
        asked = options;
        return [summary("c1", "web", "running", "10.9.0.2"), summary("c2", "db", "restarting", "")];
      },
    },
  });
});

afterAll(() => engine.close());

async function get(path: string): Promise<Record<string, unknown>> {
  const { body } = await exchange(engine.socketPath, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  return JSON.parse(body) as Record<string, unknown>;
}

test("a network's inspect says since when it is there and who is on it now", async () => {
  for (const ref of ["bridge", BRIDGE.id, BRIDGE.id.slice(0, 12)]) {
    expect(await get(`/networks/${ref}`)).toMatchObject({
      Name: "bridge",
      Created: BRIDGE.createdAt,
      IPAM: { Config: [{ Subnet: "10.9.0.0/24", Gateway: "10.9.0.1" }] },
      Containers: {
        c1: {
          Name: "web",
          EndpointID: "e-c1",
          MacAddress: "02:00:00:00:00:02",
          IPv4Address: "10.9.0.2/24",
          IPv6Address: "",
        },
      },
    });
  }
  expect(asked).toMatchObject({ all: false, filters: new Map([["network", ["bridge"]]]) });
  const { Containers: places } = await get("/networks/bridge");
  expect(Object.keys(places as object)).toEqual(["c1"]); // what waits for its restart is nowhere
});

test("a list leaves the containers out; an unknown age is Docker's zero time", async () => {
  const list = (await get("/networks")) as unknown as Record<string, unknown>[];
  expect(list.map((one) => [one["Name"], one["Created"], one["Containers"]])).toEqual([
    ["bridge", BRIDGE.createdAt, {}],
    ["none", "0001-01-01T00:00:00Z", {}],
  ]);
});

test("a connection that stays open does so without a word; one that closes says so", async () => {
  const heads = ["1.1\r\nHost: x", "1.1\r\nHost: x\r\nConnection: close", "1.0"].map((lines) =>
    exchange(engine.socketPath, `GET /_ping HTTP/${lines}\r\n\r\n`).then(({ head }) => head),
  );
  const [open, closing, old] = await Promise.all(heads);
  expect(open).not.toMatch(/^(Connection|Keep-Alive):/im);
  expect(closing).toMatch(/^Connection: close/im);
  expect(old).not.toMatch(/^Connection: keep-alive/im);
});
