import { describe, expect, test } from "bun:test";
import type { PublishedPort } from "../firewall/contract.ts";
import type { HoldFailure } from "../netd/protocol.ts";
import type { PortRequest } from "./contract.ts";
import { createPortBook } from "./port-book.ts";
import { socketsOnPort } from "./port-holder.ts";
import { parseRange } from "./port-ranges.ts";
import { splitRequests } from "./publisher.ts";

const RANGE = { first: 40_000, last: 40_009 };
const BOTH = ["0.0.0.0", "::"];

function request(
  first: number,
  last = first,
  hostAddresses: readonly string[] = BOTH,
): PortRequest {
  return {
    protocol: "tcp",
    containerPort: 80,
    hostAddresses,
    hostPortFirst: first,
    hostPortLast: last,
  };
}

/** A book whose host has `foreign` ports in use by somebody else. */
function bookWith(foreign: ReadonlySet<number>) {
  const held = new Map<string, readonly PublishedPort[]>();
  const book = createPortBook({
    hold: async ({ containerId }, ports) => {
      const failures = ports
        .filter(({ hostPort }) => foreign.has(hostPort))
        .map(({ protocol, hostAddress: address, hostPort: port }): HoldFailure => {
          return { containerId, protocol, address, port, code: "EADDRINUSE" };
        });
      if (failures.length === 0) held.set(containerId, ports);
      return failures;
    },
    release: async (id) => void held.delete(id),
    holderOf: ({ port }) => (port === 22 ? "process 1 (sshd)" : ""),
    range: () => RANGE,
  });
  const allocate = (containerId: string, ...requests: PortRequest[]) =>
    book.allocate({ containerId, ipv4: "10.0.0.2", ipv6: "" }, requests);
  return { book, held, allocate };
}

const numbers = (ports: readonly PublishedPort[]): number[] =>
  ports.map(({ hostPort }) => hostPort);

async function refusal(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "no refusal",
    (error: Error) => error.message,
  );
}

describe("allocation", () => {
  test("a random port has one number on both families and goes round the range", async () => {
    const { allocate, book } = bookWith(new Set([40_001]));
    expect(numbers(await allocate("a", request(0)))).toEqual([40_000, 40_000]);
    expect(numbers(await allocate("b", request(0)))).toEqual([40_002, 40_002]);
    await book.release("a");
    // Not at once again: clients of the one before may still knock.
    expect(numbers(await allocate("c", request(0)))).toEqual([40_003, 40_003]);
    for (let index = 0; index < 6; index += 1) await allocate(`d${index}`, request(0));
    expect(numbers(await allocate("e", request(0)))).toEqual([40_000, 40_000]);
    expect(await refusal(allocate("f", request(0)))).toContain("all ports of 40000-40009/tcp");
  });

  test("one of a range is the first that is free, also of others on the host", async () => {
    const { allocate } = bookWith(new Set([8000]));
    expect(numbers(await allocate("a", request(8000, 8002)))).toEqual([8001, 8001]);
    expect(numbers(await allocate("b", request(8000, 8002)))).toEqual([8002, 8002]);
    expect(await refusal(allocate("c", request(8000, 8002)))).toEndWith(
      "Bind for 0.0.0.0:8000 failed: port is already allocated",
    );
  });

  test("a taken port is refused in Docker's words, and a container keeps what it had", async () => {
    const { allocate, book, held } = bookWith(new Set([22, 23]));
    await allocate("a", request(80), request(81, 81, ["127.0.0.1"]));
    expect(await refusal(allocate("b", request(80)))).toBe(
      "Bind for 0.0.0.0:80 failed: port is already allocated",
    );
    expect(await refusal(allocate("b", request(81)))).toContain("81 failed: port is already");
    expect(await refusal(allocate("b", request(81, 81, ["127.0.0.1"])))).toContain("127.0.0.1:81");
    expect(numbers(await allocate("b", request(81, 81, ["127.0.0.2"])))).toEqual([81]);
    expect(await refusal(allocate("a", request(22)))).toBe(
      "port 22/tcp is held by process 1 (sshd): listen tcp 0.0.0.0:22: bind: address already in use",
    );
    expect(numbers(book.of("a"))).toEqual([80, 80, 81]);
    expect(numbers(held.get("a") ?? [])).toEqual([80, 80, 81]);
    await book.release("a");
    expect(numbers(await allocate("c", request(80)))).toEqual([80, 80]);
  });

  test("the same number of another protocol or family is another port", async () => {
    const { allocate } = bookWith(new Set());
    await allocate("a", request(53, 53, ["0.0.0.0"]));
    expect(numbers(await allocate("b", request(53, 53, ["::"])))).toEqual([53]);
    const udp: PortRequest = { ...request(53), protocol: "udp" };
    expect(numbers(await allocate("c", udp))).toEqual([53, 53]);
  });
});

describe("where ports are published", () => {
  const network = {
    networkId: "n",
    link: "br",
    internal: false,
    gatewayMode4: "nat",
    gatewayMode6: "nat",
    hostBinding4: "",
  } as const;
  const place = { network, ipv4: "10.0.0.2", ipv6: "" };
  const unnamed = { ...request(80), hostAddresses: [] };

  test("the network's address goes before the daemon's, and both before everywhere", () => {
    const addresses = (hostBinding4: string, daemon: string): readonly string[] | undefined =>
      splitRequests({ ...place, network: { ...network, hostBinding4 } }, [unnamed], daemon)
        .translated[0]?.hostAddresses;
    expect(addresses("10.9.9.9", "127.0.0.1")).toEqual(["10.9.9.9"]);
    expect(addresses("", "127.0.0.1")).toEqual(["127.0.0.1"]);
    expect(addresses("", "")?.[0]).toBe("0.0.0.0");
  });

  test("internal networks publish nothing, routed ones open the container's own port", () => {
    const internal = splitRequests(
      { ...place, network: { ...network, internal: true } },
      [unnamed],
      "",
    );
    expect(internal).toEqual({ translated: [], routed: [] });
    const routed = splitRequests(
      { ...place, network: { ...network, gatewayMode4: "routed" } },
      [request(80, 80, ["0.0.0.0"])],
      "",
    );
    expect(routed.translated).toEqual([]);
    expect(routed.routed).toMatchObject([{ containerPort: 80, hostPort: 0 }]);
  });

  test("sctp cannot be forwarded into another family", () => {
    const sctp: PortRequest = { ...request(9), protocol: "sctp" };
    expect(splitRequests(place, [sctp], "").translated[0]?.hostAddresses).toEqual(["0.0.0.0"]);
  });
});

test("the kernel's range, and sockets in /proc/net/tcp", () => {
  expect(parseRange("1024\t2048\n")).toEqual({ first: 1024, last: 2048 });
  expect(parseRange("garbage")).toEqual({ first: 32_768, last: 60_999 });
  const text = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1",
    "   1: 0100007F:0050 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1",
  ].join("\n");
  expect(socketsOnPort(text, 80)).toEqual(["4711"]);
});
