import { expect, test } from "bun:test";
import { shapeFor } from "./shape.ts";

const ENDPOINT = {
  IPAddress: "172.17.0.2",
  Gateway: "172.17.0.1",
  IPPrefixLen: 16,
  EndpointID: "e",
  MacAddress: "m",
  Aliases: null,
  DNSNames: null,
};
const INSPECT = {
  GraphDriver: { Name: "overlay2", Data: {} },
  HostConfig: { Memory: 0 },
  NetworkSettings: {
    SandboxID: "s",
    SandboxKey: "k",
    Ports: {},
    Networks: {
      bridge: ENDPOINT,
      web: { ...ENDPOINT, Aliases: ["db"], DNSNames: ["web1", "db", "abcdef"] },
    },
  },
};

test("container inspect: 1.52 drops the legacy fields, older versions have theirs", () => {
  const newest = shapeFor("containerInspect", 1056, INSPECT) as Record<string, object>;
  expect(newest).not.toHaveProperty("GraphDriver");
  expect(Object.keys(newest["NetworkSettings"] ?? {})).toEqual([
    "SandboxID",
    "SandboxKey",
    "Ports",
    "Networks",
  ]);
  expect(shapeFor("containerInspect", 1051, INSPECT)).toMatchObject({
    GraphDriver: { Name: "overlay2" },
    NetworkSettings: { IPAddress: "172.17.0.2", SecondaryIPAddresses: null, HairpinMode: false },
  });
  expect(shapeFor("containerInspect", 1041, INSPECT)).toMatchObject({
    HostConfig: { Memory: 0, KernelMemory: 0, KernelMemoryTCP: 0 },
    NetworkSettings: {
      Networks: { web: { Aliases: ["db", "abcdef"] }, bridge: { Aliases: null } },
    },
  });
  expect(INSPECT.HostConfig).toEqual({ Memory: 0 }); // the handler's value is not changed
});

test("images: VirtualSize below 1.44, <none> below 1.43", () => {
  const image = { RepoTags: [], RepoDigests: [], Size: 5 };
  expect(shapeFor("imageSummary", 1044, image)).toEqual(image);
  expect(shapeFor("imageSummary", 1043, image)).toEqual({ ...image, VirtualSize: 5 });
  expect(shapeFor("imageSummary", 1042, image)).toEqual({
    RepoTags: ["<none>:<none>"],
    RepoDigests: ["<none>@<none>"],
    Size: 5,
    VirtualSize: 5,
  });
});

test("events: status, id and from below 1.52, by type", () => {
  const of = (Type: string) => ({
    Type,
    Action: "a",
    Actor: { ID: "i", Attributes: { image: "x" } },
  });
  expect(shapeFor("event", 1052, of("container"))).toEqual(of("container"));
  expect(shapeFor("event", 1051, of("container"))).toEqual({
    status: "a",
    id: "i",
    from: "x",
    ...of("container"),
  });
  expect(shapeFor("event", 1051, of("image"))).toEqual({ status: "a", id: "i", ...of("image") });
  expect(shapeFor("event", 1051, of("network"))).toEqual(of("network"));
});

test("what is newer than the client is left out: Health, GwPriority, DNSNames, Descriptor", () => {
  const endpoint = { ...ENDPOINT, GwPriority: 0 };
  const summary = {
    Id: "c",
    Health: { Status: "none", FailingStreak: 0 },
    NetworkSettings: { Networks: { bridge: endpoint } },
  };
  const bridgeOf = (version: number): object =>
    (shapeFor("containerSummary", version, summary) as typeof summary).NetworkSettings.Networks
      .bridge;
  expect(shapeFor("containerSummary", 1052, summary)).toEqual(summary);
  expect(shapeFor("containerSummary", 1051, summary)).not.toHaveProperty("Health");
  expect(bridgeOf(1048)).toHaveProperty("GwPriority", 0);
  expect(bridgeOf(1047)).not.toHaveProperty("GwPriority");
  expect(bridgeOf(1044)).toHaveProperty("DNSNames", null);
  expect(bridgeOf(1043)).not.toHaveProperty("DNSNames");
  const image = { Id: "i", Descriptor: { digest: "sha256:0" }, Size: 5 };
  expect(shapeFor("imageInspect", 1048, image)).toHaveProperty("Descriptor");
  expect(shapeFor("imageInspect", 1047, image)).not.toHaveProperty("Descriptor");
});
