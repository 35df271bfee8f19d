/** Published ports with real packets: every way to one, and who is seen to come by it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { promisify } from "node:util";
import { cli, cliOk } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import { freePort } from "./daemon-outside.ts";
import { Outside } from "./outside.ts";
import { SERVER, who } from "./who.ts";

const LIMIT_MS = 60_000; // each takes a few seconds at most on an idle machine
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

async function serve(name: string, ...flags: readonly string[]): Promise<void> {
  await cliOk(engine, ["run", "-d", "--name", name, ...flags, "busybox", "sh", "-c", SERVER]);
  for (let tries = 0; (await who(await addressOf(name), 80)) === "" && tries < 50; tries += 1) {
    await Bun.sleep(20);
  }
}

const addressOf = (name: string): Promise<string> =>
  cliOk(engine, ["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]);

const fromOutside = (): string[] => ["ip", "netns", "exec", outside.namespace];

/** From where the container is, by a program of the host. */
async function inContainer(name: string, address: string, port: number): Promise<string> {
  return await who(address, port, ["nsenter", "-n", "-t", await pidOf(name)]);
}

const pidOf = (name: string): Promise<string> =>
  cliOk(engine, ["inspect", "-f", "{{.State.Pid}}", name]);

describe("the ways to a published port", () => {
  let port = 0;
  let local = 0;
  let gateway = "";
  beforeAll(async () => {
    port = await freePort();
    local = await freePort();
    gateway = `${engine.subnet}.1`;
    await serve("web", "-p", `${port}:80`, "-p", `127.0.0.1:${local}:80`);
    await cliOk(engine, ["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
  }, LIMIT_MS);
  afterAll(async () => {
    await cliOk(engine, ["rm", "-f", "web", "other"]);
  }, LIMIT_MS);

  test(
    "from outside, with the client's own address",
    async () => {
      expect(await who(outside.hostAddress, port, fromOutside())).toBe(outside.address);
    },
    LIMIT_MS,
  );

  test(
    "from another container and from itself by the host's address, masqueraded",
    async () => {
      for (const name of ["other", "web"]) {
        expect(await inContainer(name, outside.hostAddress, port)).toBe(gateway);
        expect(await inContainer(name, gateway, port)).toBe(gateway);
      }
    },
    LIMIT_MS,
  );

  test(
    "from the host by its own address, by 127.0.0.1, and by ::1 through the forwarder",
    async () => {
      expect(await who(outside.hostAddress, port)).toBe(outside.hostAddress);
      expect(await who("127.0.0.1", port)).toBe(gateway);
      expect(await who("127.0.0.1", local)).toBe(gateway);
      expect(await who("::1", port)).toBe(gateway);
    },
    LIMIT_MS,
  );

  test(
    "a port bound to loopback is not there for others, even for one who sends to 127.0.0.1",
    async () => {
      expect(await who(outside.hostAddress, local, fromOutside())).toBe("");
      expect(await inContainer("other", gateway, local)).toBe("");
      const inside = (...args: string[]) =>
        execute("ip", ["netns", "exec", outside.namespace, ...args]);
      await inside("ip", "addr", "del", "127.0.0.1/8", "dev", "lo");
      await inside("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1");
      await inside("ip", "route", "add", "127.0.0.0/8", "via", outside.hostAddress);
      expect(await who("127.0.0.1", local, fromOutside())).toBe("");
      // It is the guard that stops it, not a way that is wrong.
      const table = await tableOf();
      await execute("nft", ["flush", "chain", "ip", table, "guard"]);
      expect(await who("127.0.0.1", local, fromOutside())).toBe(outside.address);
      await engine.restart(); // puts the rules back
      expect(await who("127.0.0.1", local, fromOutside())).toBe("");
      await inside("ip", "route", "del", "127.0.0.0/8");
      await inside("ip", "addr", "add", "127.0.0.1/8", "dev", "lo");
    },
    LIMIT_MS,
  );

  test(
    "nobody outside reaches the container's own address, published or not",
    async () => {
      const inside = ["netns", "exec", outside.namespace, "ip", "route"];
      await execute("ip", [...inside, "add", `${engine.subnet}.0/24`, "via", outside.hostAddress]);
      expect(await who(await addressOf("web"), 80, fromOutside())).toBe("");
      await execute("ip", [...inside, "del", `${engine.subnet}.0/24`]);
    },
    LIMIT_MS,
  );

  test(
    "nobody else can bind it, whatever options they use",
    async () => {
      const script = `import socket
for reuse in (0, 1):
    for address in ("0.0.0.0", "127.0.0.1"):
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            s.bind((address, ${port})); s.listen(); print("taken")
        except OSError as e: print(e.errno)`;
      const { stdout } = await execute("python3", ["-c", script]);
      expect(stdout.trim().split("\n")).toEqual(["98", "98", "98", "98"]);
    },
    LIMIT_MS,
  );

  test(
    "an engine that is killed and comes back under traffic loses no connection",
    async () => {
      let failed = 0;
      let answered = 0;
      let going = true;
      const traffic = (async () => {
        while (going) {
          const seen = await who(outside.hostAddress, port, fromOutside());
          if (seen === outside.address) answered += 1;
          else failed += 1;
        }
      })();
      await Bun.sleep(200);
      await engine.kill9();
      await Bun.sleep(400);
      await engine.start();
      await Bun.sleep(300);
      going = false;
      await traffic;
      expect(failed).toBe(0);
      expect(answered).toBeGreaterThan(5);
      expect(await cliOk(engine, ["port", "web", "80"])).toContain(`0.0.0.0:${port}`);
    },
    LIMIT_MS,
  );
});

/** The engine's table, by its bridge. */
async function tableOf(): Promise<string> {
  const { stdout } = await execute("nft", ["list", "ruleset"]);
  const own = stdout
    .split(/^(?=table )/m)
    .find((text) => text.includes(`"${engine.bridge}"`) && /^table ip naru_[0-9a-f]/.test(text));
  return /^table ip (\S+)/.exec(own ?? "")?.[1] ?? "";
}

test(
  "inspect, list, filters and port agree as soon as start has answered; -P, ranges, both families",
  async () => {
    const port = await freePort();
    const flags = [
      "-P",
      "--expose",
      "90/udp",
      "-p",
      `${port}:80`,
      "-p",
      "127.0.0.1:20000-30000:81",
    ];
    await cliOk(engine, ["run", "-d", "--name", "many", ...flags, "busybox", "sleep", "1000"]);
    const inspected = JSON.parse(
      await cliOk(engine, ["inspect", "-f", "{{json .NetworkSettings.Ports}}", "many"]),
    ) as Record<string, { HostIp: string; HostPort: string }[]>;
    expect(inspected["80/tcp"]).toEqual([
      { HostIp: "0.0.0.0", HostPort: String(port) },
      { HostIp: "::", HostPort: String(port) },
    ]);
    const [random4, random6] = inspected["90/udp"] ?? [];
    expect(random4?.HostPort).toBe(random6?.HostPort);
    expect(Number(inspected["81/tcp"]?.[0]?.HostPort)).toBeGreaterThanOrEqual(20_000);
    const names = async (filter: string): Promise<string> =>
      cliOk(engine, ["ps", "--filter", filter, "--format", "{{.Names}} {{.Ports}}"]);
    expect(await names(`publish=${port}`)).toContain(`many 0.0.0.0:${port}->80/tcp`);
    expect(await names("publish=90/udp")).toContain("many");
    expect(await names("publish=90/tcp")).toBe("");
    expect(await names("expose=90/udp")).toContain("many");
    await cliOk(engine, ["restart", "-t", "0", "many"]);
    expect(await cliOk(engine, ["port", "many", "80/tcp"])).toBe(`0.0.0.0:${port}\n[::]:${port}`);
    await cliOk(engine, ["stop", "-t", "0", "many"]);
    expect(await cliOk(engine, ["inspect", "-f", "{{json .NetworkSettings.Ports}}", "many"])).toBe(
      "{}",
    );
    const again = createServer().listen(port, "0.0.0.0");
    await once(again, "listening"); // given back
    const taken = await cli(engine, ["start", "many"]);
    expect(taken.stderr).toMatch(
      new RegExp(`held by process ${process.pid} .*address already in use`),
    );
    again.close();
    await once(again, "close");
    await cliOk(engine, ["start", "many"]);
    const clash = await cli(engine, [
      ...["run", "-d", "--name", "clash", "-p", `${port}:80`, "busybox", "sleep", "1"],
    ]);
    expect(clash.exitCode).toBe(125);
    expect(clash.stderr).toMatch(
      new RegExp(`"many" has the port: Bind for 0.0.0.0:${port} failed: port is already allocated`),
    );
    expect(await cliOk(engine, ["inspect", "-f", "{{.State.Status}}", "clash"])).toBe("created");
    await cliOk(engine, ["rm", "-f", "many", "clash"]);
  },
  LIMIT_MS,
);

test(
  "a UDP client that knocked before the port was there, and after it moved, is answered",
  async () => {
    const port = await freePort();
    // One socket all the time: the kernel remembers where its packets went.
    const script = `import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
for line in sys.stdin:
    try:
        s.sendto(b"knock", ("${outside.hostAddress}", ${port})); print(s.recv(100).decode().strip(), flush=True)
    except OSError as e: print("none", flush=True)`;
    const client = spawn("ip", ["netns", "exec", outside.namespace, "python3", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const knock = async (): Promise<string> => {
      client.stdin.write("\n");
      const [chunk] = (await once(client.stdout, "data")) as [Buffer];
      return chunk.toString().trim();
    };
    try {
      expect(await knock()).toBe("none");
      for (const name of ["first", "second"]) {
        const ports = ["-p", `${port}:53/udp`];
        await cliOk(engine, ["run", "-d", "--name", name, ...ports, "busybox", "sleep", "1000"]);
        const server = spawn("nsenter", [
          ...["-n", "-t", await pidOf(name), "socat"],
          ...["UDP4-RECVFROM:53,fork", `SYSTEM:cat >/dev/null & echo ${name}`],
        ]);
        await Bun.sleep(200);
        expect(await knock()).toBe(name);
        server.kill("SIGKILL");
        await cliOk(engine, ["rm", "-f", name]);
        await cliOk(engine, ["run", "-d", "--name", `x${name}`, "busybox", "sleep", "1000"]); // another address next
      }
    } finally {
      client.kill("SIGKILL");
      await cliOk(engine, ["rm", "-f", "xfirst", "xsecond"]);
    }
  },
  LIMIT_MS,
);

test(
  "thousands of ports in one request work, too many are refused, and all are given back",
  async () => {
    const create = async (range: string): Promise<Response> =>
      engine.fetch("/containers/create?name=lots", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          Image: "busybox",
          Cmd: ["sleep", "1000"],
          HostConfig: { PortBindings: { [range]: [{ HostIp: "127.0.0.1", HostPort: "" }] } },
        }),
      });
    const refused = await create("1-20000/tcp");
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringContaining("more than 10000 ports"),
    ]);
    expect((await create("1-2000/tcp")).status).toBe(201);
    await cliOk(engine, ["start", "lots"]);
    const first = await cliOk(engine, ["port", "lots", "2000"]);
    expect(first).toMatch(/^127\.0\.0\.1:\d+$/);
    await cliOk(engine, ["rm", "-f", "lots"]);
    const server = createServer().listen(Number(first.split(":")[1]), "127.0.0.1");
    await once(server, "listening");
    server.close();
  },
  LIMIT_MS,
);

test(
  "netd that is killed comes back with every port",
  async () => {
    const port = await freePort();
    await serve("held", "-p", `${port}:80`);
    const { stdout } = await execute("pgrep", ["-f", `netd --socket ${engine.execRoot}/`]);
    process.kill(Number(stdout.trim()), "SIGKILL");
    // Kernel ports never notice; the forwarder of ::1 is back as soon as netd is.
    expect(await who("127.0.0.1", port)).toBe(`${engine.subnet}.1`);
    for (let tries = 0; (await who("::1", port)) === "" && tries < 50; tries += 1) {
      await Bun.sleep(50);
    }
    expect(await who("::1", port)).toBe(`${engine.subnet}.1`);
    await cliOk(engine, ["rm", "-f", "held"]);
  },
  LIMIT_MS,
);

test(
  "ports come and go while a container runs; open connections of the others go on",
  async () => {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const [kept, added, gone] = ports;
    await serve("changing", "-p", `${kept}:80`, "-p", `${gone}:80`);
    const address = await addressOf("changing");
    const open = connect(kept, "127.0.0.1");
    await once(open, "connect");
    const update = (...flags: readonly string[]) => cli(engine, ["update", ...flags, "changing"]);
    const change = [
      `--publish-add=${added}:80`,
      "--publish-add=127.0.0.1::90/udp",
      `--publish-rm=${gone}:80`,
    ];
    expect((await update(...change)).stderr).toBe("");
    expect(await who("127.0.0.1", added)).toBe(`${engine.subnet}.1`);
    expect(await who(outside.hostAddress, added, fromOutside())).toBe(outside.address);
    expect(await who("127.0.0.1", gone)).toBe("");
    open.write("GET /cgi-bin/who HTTP/1.0\r\n\r\n");
    const [answer] = (await once(open, "data")) as [Buffer];
    expect(answer.toString()).toContain("200 OK");
    open.destroy();
    const udp = await cliOk(engine, ["port", "changing", "90/udp"]);
    expect(udp).toMatch(/^127\.0\.0\.1:\d+$/);
    for (const [flags, message] of [
      [[`--publish-rm=${gone}:80`], `does not publish 80/tcp at ${gone}`],
      [[`--publish-add=${kept}:81`], "port is already allocated"],
      [["--publish-add=70000:1"], "invalid"],
    ] as const) {
      const refused = await update(...flags);
      expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining(message)]);
    }
    expect(await who("127.0.0.1", kept)).toBe(`${engine.subnet}.1`);
    await engine.kill9();
    await engine.start();
    expect(await cliOk(engine, ["port", "changing", "80/tcp"])).toContain(`0.0.0.0:${added}`);
    expect(await cliOk(engine, ["port", "changing", "90/udp"])).toBe(udp);
    expect(
      (await update(`--publish-rm=${udp.split(":")[1]}:90/udp`, "--publish-rm=80")).stderr,
    ).toBe("");
    expect(await who("127.0.0.1", added)).toBe("");
    expect(await who(address, 80)).not.toBe("");
    expect(await cliOk(engine, ["port", "changing"])).toBe("");
    await cliOk(engine, ["restart", "-t", "0", "changing"]);
    expect(await cliOk(engine, ["port", "changing"])).toBe("");
    await cliOk(engine, ["rm", "-f", "changing"]);
  },
  LIMIT_MS,
);
