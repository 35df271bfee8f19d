import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isNaruError } from "../base/mod.ts";
import type { Metadata } from "../storage/mod.ts";
import type { AddressRange } from "./active-network.ts";
import type { Endpoint, EtcFilesRequest } from "./contract.ts";
import { EndpointBook, type EndpointRow } from "./endpoint-book.ts";
import { type EtcSources, renderEtcFiles } from "./etc-files.ts";
import {
  baseOf,
  containsIp,
  type IpNetwork,
  ipText,
  needNetwork,
  networkText,
  overlaps,
  parseIp,
} from "./ip-network.ts";
import { macForAddress } from "./mac.ts";
import { parseNetworkMode } from "./mode.ts";
import { parseResolvConf } from "./resolv-conf.ts";
import { chooseSubnet } from "./subnets.ts";

describe("IP networks", () => {
  test("numbers and texts agree, and near misses are refused", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 0xffff_ffffn }), (number) => {
        expect(parseIp(ipText(4, number))?.number).toBe(number);
      }),
      { verbose: true },
    );
    for (const bad of ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "1.2.3.-4", " 1.2.3.4"]) {
      expect(parseIp(bad)).toBeUndefined();
    }
    expect(macForAddress("172.17.0.2")).toBe("02:42:ac:11:00:02");
    expect(macForAddress("")).toBeUndefined();
  });

  test("overlap is the same both ways and means a shared address", () => {
    const network = fc
      .tuple(fc.bigInt({ min: 0n, max: 0xffff_ffffn }), fc.integer({ min: 1, max: 32 }))
      .map(
        ([address, prefixLength]): IpNetwork => ({
          family: 4,
          base: baseOf(4, address, prefixLength),
          prefixLength,
        }),
      );
    fc.assert(
      fc.property(network, network, (a, b) => {
        expect(overlaps(a, b)).toBe(containsIp(a, b.base) || containsIp(b, a.base));
        expect(overlaps(b, a)).toBe(overlaps(a, b));
      }),
      { verbose: true },
    );
  });

  test("the first pool that touches nothing is chosen", () => {
    const chosen = (...texts: string[]): string =>
      networkText(
        chooseSubnet(
          4,
          texts.map((text) => needNetwork(text, "t")),
          [],
        ),
      );
    expect(chosen()).toBe("172.17.0.0/16");
    expect(chosen("172.17.200.0/24", "172.18.0.0/16")).toBe("172.19.0.0/16");
    expect(chosen("172.16.0.0/12")).toBe("192.168.0.0/20");
    expect(() => chosen("172.16.0.0/12", "192.168.0.0/16")).toThrow("non-overlapping");
    const pools = [{ base: "10.9.0.0/16", size: 24 }];
    expect(networkText(chooseSubnet(4, [needNetwork("10.9.0.0/23", "t")], pools))).toBe(
      "10.9.2.0/24",
    );
  });
});

describe("addresses", () => {
  const endpoint = (address: string): Endpoint => ({
    networkId: "n",
    networkName: "bridge",
    endpointId: "e",
    netnsPath: "/x",
    hostLink: "v",
    macAddress: "",
    ipv4Address: address,
    ipv4PrefixLength: 29,
    gateway: "10.0.0.1",
  });
  const network = needNetwork("10.0.0.0/29", "subnet");
  const range: AddressRange = {
    network,
    pool: network,
    gateway: "10.0.0.1",
    excluded: new Set([network.base + 1n]),
    asked: true,
  };
  const metadata = (rows: [string, unknown][]): Metadata => ({
    rows: () => rows,
    commit: () => Promise.resolve(),
    close: () => Promise.resolve(),
  });

  test("first, last and gateway are never given; a full network says so", () => {
    const book = new EndpointBook(metadata([]));
    const given = Array.from({ length: 5 }, () => book.reserve(range, ""));
    expect(given).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    expect(() => book.reserve(range, "")).toThrow("no available IPv4 addresses");
  });

  test("rows of a former engine count, quarantined ones too, until forgotten", () => {
    const rows: [string, EndpointRow][] = [
      ["bridge/10.0.0.2", { containerId: "a", state: "used", endpoint: endpoint("10.0.0.2") }],
      [
        "bridge/10.0.0.3",
        { containerId: "b", state: "quarantine", endpoint: endpoint("10.0.0.3") },
      ],
    ];
    const book = new EndpointBook(metadata(rows));
    expect(book.usedBy("a").map(({ endpoint: { ipv4Address } }) => ipv4Address)).toEqual([
      "10.0.0.2",
    ]);
    expect(book.usedBy("b")).toEqual([]);
    expect(book.reserve(range, "")).toBe("10.0.0.4");
    book.forget(endpoint("10.0.0.3"));
    expect(book.reserve(range, "")).toBe("10.0.0.3");
  });

  test("an address that is asked for is given, unless it is taken, excluded or elsewhere", () => {
    const book = new EndpointBook(metadata([]));
    expect(book.reserve(range, "10.0.0.5")).toBe("10.0.0.5");
    expect(() => book.reserve(range, "10.0.0.5")).toThrow("Address already in use");
    expect(() => book.reserve(range, "10.0.0.1")).toThrow("Address already in use");
    expect(() => book.reserve(range, "10.0.1.5")).toThrow("no configured subnet");
    expect(() => book.reserve({ ...range, asked: false }, "10.0.0.6")).toThrow("user configured");
  });

  test("whatever is taken and given back, no address has two owners", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (orders) => {
        const book = new EndpointBook(metadata([]));
        const held: string[] = [];
        for (const order of orders) {
          if (order < 6 && held.length < 5) {
            const address = book.reserve(range, "");
            expect(held).not.toContain(address);
            if (order < 2) book.release(address);
            else {
              const row = {
                containerId: "c",
                state: "used",
                endpoint: endpoint(address),
              } as const;
              book.record(row);
              held.push(address);
            }
          } else {
            const address = held.splice(order % (held.length || 1), 1)[0];
            if (address !== undefined) book.forget(endpoint(address));
          }
        }
      }),
      { verbose: true },
    );
  });
});

describe("files under /etc", () => {
  const sources: EtcSources = {
    hostHosts: "127.0.0.1 localhost\n10.9.9.9 nas",
    hostResolvConf:
      "# made by x\nsearch old.example\nnameserver 127.0.0.1\nnameserver 10.1.1.1 # lan\nnameserver fd00::1\nsearch a.example b.example\noptions ndots:2\n",
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    hostGateways: ["172.17.0.1"],
  };
  const request: EtcFilesRequest = {
    mode: { kind: "bridge" },
    endpoints: [
      {
        networkId: "n",
        networkName: "bridge",
        endpointId: "e",
        netnsPath: "/x",
        hostLink: "v",
        macAddress: "",
        ipv4Address: "172.17.0.2",
        ipv4PrefixLength: 16,
        gateway: "172.17.0.1",
      },
    ],
    hostname: "web",
    domainname: "",
    extraHosts: [],
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
  };

  test("a bridged container knows itself and the servers that it can reach", () => {
    const files = renderEtcFiles(request, sources);
    expect(files.hosts).toStartWith(
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    );
    expect(files.hosts).toEndWith("\n172.17.0.2\tweb\n");
    expect(files.hostname).toBe("web\n");
    expect(files.resolvConf).toBe(
      "nameserver 10.1.1.1\nsearch a.example b.example\noptions ndots:2\n",
    );
  });

  test("extra hosts in each form, host-gateway and a domain", () => {
    const extraHosts = [
      "db:10.0.0.5",
      "six=[fd00::5]",
      "seven:fd00::7",
      "host.docker.internal:host-gateway",
    ];
    const files = renderEtcFiles({ ...request, extraHosts, domainname: "corp.example" }, sources);
    expect(files.hosts).toEndWith(
      "\n10.0.0.5\tdb\nfd00::5\tsix\nfd00::7\tseven\n172.17.0.1\thost.docker.internal\n172.17.0.2\tweb.corp.example web\n",
    );
    for (const bad of ["db", ":1.2.3.4", "db:", "db:nowhere", "d b:1.2.3.4", "db:1.2.3.4\nx"]) {
      expect(() => renderEtcFiles({ ...request, extraHosts: [bad] }, sources)).toThrow("add-host");
    }
    const noBridge = { ...sources, hostGateways: [] };
    expect(() => renderEtcFiles({ ...request, extraHosts: ["x:host-gateway"] }, noBridge)).toThrow(
      "host-gateway",
    );
  });

  test("the container's wishes come before the engine's, and those before the host's", () => {
    const engine = { ...sources, dns: ["9.9.9.9"], dnsSearch: ["engine.example"] };
    expect(renderEtcFiles(request, engine).resolvConf).toBe(
      "nameserver 9.9.9.9\nsearch engine.example\noptions ndots:2\n",
    );
    const own = {
      ...request,
      dns: ["1.1.1.1", "::1"],
      dnsSearch: ["."],
      dnsOptions: ["timeout:1"],
    };
    expect(renderEtcFiles(own, engine).resolvConf).toBe(
      "nameserver 1.1.1.1\nnameserver ::1\noptions timeout:1\n",
    );
    expect(() => renderEtcFiles({ ...request, dns: ["one.one"] }, sources)).toThrow("one.one");
    expect(() =>
      renderEtcFiles({ ...request, dnsSearch: ["a\nnameserver 6.6.6.6"] }, sources),
    ).toThrow("invalid DNS setting");
  });

  test("host mode has the host's files; with only local servers Docker's public ones are used", () => {
    const host = renderEtcFiles({ ...request, mode: { kind: "host" }, endpoints: [] }, sources);
    expect(host.hosts).toBe("127.0.0.1 localhost\n10.9.9.9 nas\n");
    expect(host.resolvConf).toStartWith(
      "nameserver 127.0.0.1\nnameserver 10.1.1.1\nnameserver fd00::1\n",
    );
    const local = { ...sources, hostResolvConf: "nameserver 127.0.0.53\n" };
    expect(renderEtcFiles(request, local).resolvConf).toBe(
      "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
    );
    expect(parseResolvConf("domain x.example\noptions a b\noptions c").options).toEqual([
      "a",
      "b",
      "c",
    ]);
  });
});

describe("modes and rules", () => {
  test("network modes by name", () => {
    expect(parseNetworkMode("default", true)).toEqual({ kind: "bridge" });
    expect(parseNetworkMode("", false)).toEqual({ kind: "none" });
    expect(parseNetworkMode("container:web", true)).toEqual({
      kind: "container",
      container: "web",
    });
    expect(parseNetworkMode("backend", true)).toEqual({ kind: "named", name: "backend" });
    for (const bad of ["container:", "a b", "../x", "container:a/b"]) {
      try {
        parseNetworkMode(bad, true);
        throw new Error("parsed");
      } catch (error) {
        expect(isNaruError(error, "invalid_argument")).toBe(true);
      }
    }
    expect(() => parseNetworkMode("bridge", false)).toThrow("network bridge not found");
  });
});
