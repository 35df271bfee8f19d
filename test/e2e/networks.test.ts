/** Users' networks with real packets: who reaches whom, by which name and from which address. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { decode, encode } from "dns-packet";
import { cli, cliOk } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { freePort } from "./daemon-outside.ts";
import { Outside } from "./outside.ts";

const LIMIT_MS = 60_000;
const execute = promisify(execFile);

let engine: TestEngine;
let outside: Outside;

beforeAll(async () => {
  engine = await startEngine();
  outside = new Outside();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
}, LIMIT_MS);

afterAll(async () => {
  outside[Symbol.dispose]();
  await engine.destroy();
}, LIMIT_MS);

const run = (name: string, ...flags: readonly string[]): Promise<string> =>
  cliOk(engine, ["run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000"]);

const inspect = (format: string, name: string): Promise<string> =>
  cliOk(engine, ["inspect", "-f", format, name]);

const addressOn = (network: string, name: string, field = "IPAddress"): Promise<string> =>
  inspect(`{{(index .NetworkSettings.Networks "${network}").${field}}}`, name);

/** Known once: they are asked for while the engine is down. */
const pids = new Map<string, string>();

async function pidOf(name: string): Promise<string> {
  const pid = pids.get(name) ?? (await inspect("{{.State.Pid}}", name));
  pids.set(name, pid);
  return pid;
}

/** A command of the host, in the network namespace of a container. */
async function within(name: string, ...command: readonly string[]): Promise<string> {
  const pid = await pidOf(name);
  const { stdout } = await execute("nsenter", ["-n", "-t", pid, ...command]);
  return stdout.trim();
}

/** Who a container is seen as by another one of that address; "" when it does not get there. */
async function seenAs(from: string, to: string, address: string): Promise<string> {
  const pid = await pidOf(to);
  const family = address.includes(":") ? "TCP6" : "TCP4";
  const script = "echo $SOCAT_PEERADDR";
  const listen = `${family}-LISTEN:7000,reuseaddr`;
  const server = spawn("nsenter", ["-n", "-t", pid, "socat", listen, `SYSTEM:${script}`]);
  const target = `${family}:${address.includes(":") ? `[${address}]` : address}:7000`;
  try {
    for (let tries = 0; tries < 20; tries += 1) {
      const heard = await within(from, "socat", "-T1", "-", `${target},connect-timeout=0.3`).catch(
        () => "",
      );
      if (heard !== "") return heard;
      await Bun.sleep(20);
    }
    return "";
  } finally {
    server.kill("SIGKILL");
  }
}

const ping = (name: string, address: string): Promise<boolean> =>
  cli(engine, ["exec", name, "ping", "-c", "1", "-W", "1", address]).then(
    ({ exitCode }) => exitCode === 0,
  );

const CODES = ["", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** Asks the name service of a container as programs do, and gives the answer's data. */
async function lookUp(
  name: string,
  question: string,
  options: { type?: "A" | "AAAA" | "PTR"; transport?: "UDP4" | "TCP4" } = {},
): Promise<string[] | string> {
  const { type = "A", transport = "UDP4" } = options;
  const questions = [{ name: question, type, class: "IN" as const }];
  const query = encode({ type: "query", id: 5, flags: 0x100, questions });
  const length = Buffer.from([0, query.length]);
  const bytes = transport === "TCP4" ? Buffer.concat([length, query]) : query;
  const pid = await pidOf(name);
  const command = ["-n", "-t", pid, "socat", "-t6", "-T6", "-", `${transport}:127.0.0.11:53`];
  const child = Bun.spawn(["nsenter", ...command], { stdin: "pipe", stdout: "pipe" });
  void child.stdin.write(bytes);
  await child.stdin.flush();
  const { value } = await child.stdout.getReader().read();
  child.kill("SIGKILL");
  if (value === undefined) return "no answer";
  const answer = Buffer.from(value).subarray(transport === "TCP4" ? 2 : 0);
  const code = (answer[3] ?? 0) & 0xf;
  if (code !== 0) return CODES[code] ?? `code ${code}`;
  const answers = decode(answer).answers ?? [];
  return answers
    .flatMap((one) => ("data" in one && typeof one.data === "string" ? [one.data] : []))
    .toSorted();
}

describe("two networks", () => {
  beforeAll(async () => {
    await cliOk(engine, ["network", "create", "--ipv6", "red"]);
    await cliOk(engine, ["network", "create", "blue"]);
    await run("r1", "--network", "red", "--network-alias", "team");
    await run("r2", "--network", "red", "--network-alias", "team");
    await run("b1", "--network", "blue");
  }, LIMIT_MS);

  test(
    "reach their own, over both families and with their own addresses, and nobody else",
    async () => {
      const own4 = await addressOn("red", "r1");
      const own6 = await addressOn("red", "r1", "GlobalIPv6Address");
      expect(await seenAs("r1", "r2", await addressOn("red", "r2"))).toBe(own4);
      const seen6 = await seenAs("r1", "r2", await addressOn("red", "r2", "GlobalIPv6Address"));
      expect(new URL(`http://${seen6}/`).hostname).toBe(`[${own6}]`);
      expect(own6).toMatch(/^fd/);
      const other = await addressOn("blue", "b1");
      expect(await ping("r1", other)).toBe(false);
      expect(await ping("b1", own4)).toBe(false);
      const gateway = await addressOn("blue", "b1", "Gateway");
      expect(await ping("b1", gateway)).toBe(true);
    },
    LIMIT_MS,
  );

  test(
    "know their own by name, alias, short id and address, and the engine's death changes nothing",
    async () => {
      const r1 = await addressOn("red", "r1");
      const r2 = await addressOn("red", "r2");
      const id = (await inspect("{{.Id}}", "r1")).slice(0, 12);
      const six = await addressOn("red", "r1", "GlobalIPv6Address");
      const check = async (): Promise<void> => {
        for (const name of ["r1", "R1", "r1.red", id])
          expect(await lookUp("r2", name)).toEqual([r1]);
        expect(await lookUp("r1", "team", { transport: "TCP4" })).toEqual([r1, r2].toSorted());
        expect(await lookUp("r2", "r1", { type: "AAAA" })).toEqual([six]);
        const reversed = `${r1.split(".").toReversed().join(".")}.in-addr.arpa`;
        expect(await lookUp("r2", reversed, { type: "PTR" })).toEqual(["r1.red"]);
      };
      await check();
      await engine.kill9();
      await check();
      await engine.start();
      await check();
      expect(await cliOk(engine, ["exec", "r2", "cat", "/etc/resolv.conf"])).toMatch(
        /^nameserver 127\.0\.0\.11$/m,
      );
      // A name of the other network is none here.
      expect(await lookUp("b1", "r1")).not.toEqual([r1]);
    },
    LIMIT_MS,
  );

  test(
    "a container that joins and leaves while it runs is found, reached and forgotten",
    async () => {
      await cliOk(engine, ["network", "connect", "--alias", "guest", "red", "b1"]);
      const address = await addressOn("red", "b1");
      expect(await lookUp("r1", "guest")).toEqual([address]);
      expect(await lookUp("b1", "r1")).toEqual([await addressOn("red", "r1")]);
      expect(await seenAs("r1", "b1", address)).toBe(await addressOn("red", "r1"));
      await cliOk(engine, ["rename", "b1", "b9"]);
      expect(await lookUp("r1", "b9")).toEqual([address]);
      await cliOk(engine, ["rename", "b9", "b1"]);
      await cliOk(engine, ["network", "disconnect", "red", "b1"]);
      expect(await ping("r1", address)).toBe(false);
      expect(await lookUp("r1", "guest")).not.toEqual([address]);
      expect(await within("b1", "ip", "-br", "link")).toContain("eth0");
      const again = await cli(engine, ["network", "disconnect", "red", "b1"]);
      expect(again.stderr).toContain("is not connected to network red");
    },
    LIMIT_MS,
  );
});

test(
  "other names are asked of --dns, over UDP and TCP; a dead server is a quick failure",
  async () => {
    const gateway = `${engine.subnet}.1`;
    const answer = (query: Buffer): Buffer => {
      const { id = 0, questions = [] } = decode(query);
      const [{ name } = { name: "" }] = questions;
      const answers = [{ type: "A" as const, name, ttl: 60, data: "203.0.113.9" }];
      return encode({ type: "response", id, questions, answers });
    };
    const udp = await Bun.udpSocket({
      hostname: gateway,
      port: 53,
      socket: { data: (socket, data, port, from) => void socket.send(answer(data), port, from) },
    });
    const tcp = Bun.listen({
      hostname: gateway,
      port: 53,
      socket: {
        data(socket, data) {
          const bytes = answer(data.subarray(2));
          socket.write(Buffer.concat([Buffer.from([0, bytes.length]), bytes]));
        },
      },
    });
    await cliOk(engine, ["network", "create", "named"]);
    try {
      await run("asks", "--network", "named", "--dns", gateway);
      expect(await lookUp("asks", "example.org")).toEqual(["203.0.113.9"]);
      expect(await lookUp("asks", "example.org", { transport: "TCP4" })).toEqual(["203.0.113.9"]);
    } finally {
      udp.close();
      tcp.stop(true);
    }
    expect(await lookUp("asks", "example.org")).toBe("SERVFAIL");
    // The container's own port 53 is free for a server of its own.
    const bind = "TCP4-LISTEN:53,reuseaddr";
    const pid = await pidOf("asks");
    const server = spawn("nsenter", ["-n", "-t", pid, "socat", bind, "SYSTEM:echo mine"]);
    await Bun.sleep(150);
    expect(await within("asks", "socat", "-T1", "-", "TCP4:127.0.0.1:53")).toBe("mine");
    server.kill("SIGKILL");
    await cliOk(engine, ["rm", "-f", "asks"]);
    await cliOk(engine, ["network", "rm", "named"]);
  },
  LIMIT_MS,
);

test(
  "an internal network leads nowhere, also not by name",
  async () => {
    await cliOk(engine, ["network", "create", "--internal", "--ipv6", "inner"]);
    await run("i1", "--network", "inner");
    await run("i2", "--network", "inner");
    expect(await within("i1", "ip", "route")).not.toContain("default");
    expect(await ping("i1", await addressOn("inner", "i2"))).toBe(true);
    expect(await lookUp("i1", "i2")).toEqual([await addressOn("inner", "i2")]);
    expect(await lookUp("i1", "example.org")).toBe("NXDOMAIN");
    await within("i1", "ip", "route", "add", "default", "dev", "eth0");
    expect(await ping("i1", outside.address)).toBe(false);
    await cliOk(engine, ["rm", "-f", "i1", "i2"]);
    await cliOk(engine, ["network", "rm", "inner"]);
  },
  LIMIT_MS,
);

test(
  "published ports are where the gateway is, keep their number when it moves, and names go along",
  async () => {
    const port = await freePort();
    await cliOk(engine, ["network", "create", "front"]);
    await cliOk(engine, ["network", "create", "back"]);
    await run("both", "--network", "back", "-p", `${port}:80`, "-p", "81");
    const random = await cliOk(engine, ["port", "both", "81/tcp"]);
    const pid = await pidOf("both");
    const listen = "TCP4-LISTEN:80,reuseaddr,fork";
    const script = "SYSTEM:echo $SOCAT_SOCKADDR $SOCAT_PEERADDR";
    const server = spawn("nsenter", ["-n", "-t", pid, "socat", listen, script]);
    await Bun.sleep(150);
    const hear = async (): Promise<string> => {
      const command = ["socat", "-T1", "-", `TCP4:${outside.hostAddress}:${port}`];
      const { stdout } = await execute("ip", ["netns", "exec", outside.namespace, ...command]);
      return stdout.trim();
    };
    expect(await hear()).toBe(`${await addressOn("back", "both")} ${outside.address}`);
    await cliOk(engine, ["network", "connect", "--gw-priority", "1", "front", "both"]);
    expect(await hear()).toBe(`${await addressOn("front", "both")} ${outside.address}`);
    expect(await cliOk(engine, ["port", "both", "81/tcp"])).toBe(random);
    await cliOk(engine, ["network", "disconnect", "front", "both"]);
    expect(await hear()).toBe(`${await addressOn("back", "both")} ${outside.address}`);
    server.kill("SIGKILL");
    await cliOk(engine, ["rm", "-f", "both"]);
    await cliOk(engine, ["network", "rm", "front", "back"]);
  },
  LIMIT_MS,
);

test(
  "addresses that are asked for are given once; what cannot be is refused and leaves nothing",
  async () => {
    const subnet = ["--subnet", "10.250.7.0/24", "--ip-range", "10.250.7.128/25"];
    const reserved = ["--gateway", "10.250.7.1", "--aux-address", "router=10.250.7.128"];
    await cliOk(engine, ["network", "create", ...subnet, ...reserved, "fixed"]);
    await run(
      "f1",
      "--network",
      "fixed",
      "--ip",
      "10.250.7.77",
      "--mac-address",
      "02:11:22:33:44:55",
    );
    await run("f2", "--network", "fixed");
    expect(await addressOn("fixed", "f1")).toBe("10.250.7.77");
    expect(await within("f1", "ip", "link", "show", "eth0")).toContain("02:11:22:33:44:55");
    expect(await addressOn("fixed", "f2")).toBe("10.250.7.129");
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [["run", "--network", "fixed", "--ip", "10.250.7.77", "busybox"], /already in use/],
      [["run", "--network", "fixed", "--ip", "10.250.8.1", "busybox"], /no configured subnet/],
      [["run", "--network", "nowhere", "busybox"], /network nowhere not found/],
      [["run", "--ip", "10.250.7.9", "busybox"], /user (defined networks|configured)/],
      [["network", "create", "--subnet", "10.250.7.0/25", "y"], /overlaps/],
      [["network", "create", "--subnet", "10.250.9.7/24", "y"], /invalid|host bits/i],
      [["network", "create", "--subnet", "nonsense", "y"], /invalid CIDR/],
      [["network", "create", "fixed"], /already exists/],
      [["network", "create", "bridge"], /predefined/],
      [["network", "create", "a\tb"], /invalid|restricted/i],
      [["network", "rm", "fixed"], /active endpoints/],
      [["network", "rm", "host"], /pre-defined/],
    ];
    for (const [command, words] of refused) {
      const { exitCode, stderr } = await cli(engine, command);
      expect([command.join(" "), exitCode === 0, stderr]).toEqual([
        command.join(" "),
        false,
        expect.stringMatching(words),
      ]);
    }
    await cliOk(engine, ["rm", "-f", "f1", "f2"]);
    expect(await cliOk(engine, ["network", "prune", "-f"])).toContain("fixed");
  },
  LIMIT_MS,
);
