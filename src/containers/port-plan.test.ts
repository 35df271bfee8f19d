import { expect, test } from "bun:test";
import type { PublishedPort } from "../network/mod.ts";
import type { HostConfig } from "../spec/mod.ts";
import { planPorts, portListView, portMapView } from "./port-plan.ts";

type Host = Pick<HostConfig, "PortBindings" | "PublishAllPorts">;
const host = (PortBindings: Host["PortBindings"], PublishAllPorts = false): Host => ({
  PortBindings,
  PublishAllPorts,
});

test("bindings become requests: addresses, random ports, ranges on either side", () => {
  const plan = planPorts(
    {},
    host({
      "80/tcp": [
        { HostIp: "", HostPort: "8080" },
        { HostIp: "[::1]", HostPort: "" },
      ],
      "53/udp": [{ HostIp: "127.0.0.1", HostPort: "5000-5002" }],
      "90-91/sctp": [{ HostIp: "", HostPort: "190-191" }],
    }),
  );
  expect(
    plan.map((one) => [one.protocol, one.containerPort, one.hostPortFirst, one.hostPortLast]),
  ).toEqual([
    ["tcp", 80, 8080, 8080],
    ["tcp", 80, 0, 0],
    ["udp", 53, 5000, 5002],
    ["sctp", 90, 190, 190],
    ["sctp", 91, 191, 191],
  ]);
  expect(plan.map((one) => one.hostAddresses)).toEqual([[], ["::1"], ["127.0.0.1"], [], []]);
});

test("-P takes every exposed port that is not bound, ranges too", () => {
  const exposed = { ExposedPorts: { "80/tcp": {}, "90-91/udp": {} } };
  const plan = planPorts(exposed, host({ "80/tcp": [{ HostIp: "", HostPort: "1" }] }, true));
  expect(plan.map((one) => `${one.containerPort}/${one.protocol}`)).toEqual([
    "80/tcp",
    "90/udp",
    "91/udp",
  ]);
  expect(planPorts(exposed, host(null))).toEqual([]);
});

test("what is no port or address is refused in Docker's words, and too many at once", () => {
  const one = (HostIp: string, HostPort: string) => () =>
    planPorts({}, host({ "80/tcp": [{ HostIp, HostPort }] }));
  for (const bad of ["x", "70000", "-1", "5-4", "1-", "0x10", "8080/tcp"]) {
    expect(one("", bad)).toThrow(`invalid port specification: "${bad}"`);
  }
  for (const bad of ["localhost", "1.2.3", "fe80::1%eth0", "1.2.3.4/24"]) {
    expect(one(bad, "1")).toThrow("unable to parse IP");
  }
  const ranges = host({ "80-90/tcp": [{ HostIp: "", HostPort: "80-85" }] });
  expect(() => planPorts({}, ranges)).toThrow("invalid port specification");
  const many = host({ "1-20000/tcp": [{ HostIp: "", HostPort: "" }] });
  expect(() => planPorts({}, many)).toThrow("more than 10000 ports");
});

test("inspect and list show published, exposed and routed ports each in its way", () => {
  const published: PublishedPort[] = [
    { protocol: "tcp", containerPort: 80, hostAddress: "0.0.0.0", hostPort: 8080 },
    { protocol: "tcp", containerPort: 80, hostAddress: "::", hostPort: 8080 },
    { protocol: "tcp", containerPort: 81, hostAddress: "0.0.0.0", hostPort: 0 },
  ];
  const config = { ExposedPorts: { "80/tcp": {}, "82-83/udp": {} } };
  expect(portMapView(config, host({ "81/tcp": [] }), published)).toEqual({
    "80/tcp": [
      { HostIp: "0.0.0.0", HostPort: "8080" },
      { HostIp: "::", HostPort: "8080" },
    ],
    "81/tcp": [{ HostIp: "0.0.0.0", HostPort: "" }],
    "82/udp": null,
    "83/udp": null,
  });
  expect(portListView(config, host(null), published.slice(0, 1))).toEqual([
    { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { PrivatePort: 82, Type: "udp" },
    { PrivatePort: 83, Type: "udp" },
  ]);
});
