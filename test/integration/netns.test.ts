import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import * as linux from "../../src/linux/mod.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync("/tmp/naru-netns-");
});
afterAll(() => {
  for (const { target } of linux.mountsBelow(root, linux.listMounts()))
    linux.umountDetached(target);
  rmSync(root, { recursive: true, force: true });
});

/** `rejects` turns the event loop inside a Worker's message, where no other message can come. */
async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("no failure");
}

describe("network namespaces", () => {
  let home = -1;
  let kernel: linux.NetworkKernel;
  let dir = "";
  beforeAll(() => {
    // A namespace of our own for this thread, and so for the Worker that it starts.
    home = linux.open(`/proc/self/task/${linux.gettid()}/ns/net`, linux.O_RDONLY);
    linux.unshare(linux.CLONE_NEWNET);
    kernel = new linux.NetworkKernel();
    dir = `${root}/netns`;
    mkdirSync(dir);
  });
  afterAll(async () => {
    for (const name of readdirSync(dir)) await kernel.removeNamespace(`${dir}/${name}`);
    kernel.close();
    linux.setns(home, linux.CLONE_NEWNET);
    linux.close(home);
  });

  const bridge = {
    name: "nt0",
    macAddress: "02:42:0a:63:00:01",
    mtu: 1400,
    ipv4Address: "10.99.0.1",
    ipv4PrefixLength: 24,
    ipv6Address: "fd00:99::1",
    ipv6PrefixLength: 64,
  };
  const routes: linux.DefaultRoutes = { ipv4: "10.99.0.1", ipv6: "" };
  const endpoint = (host: number, isolated = false): linux.NamespaceEndpoint => ({
    hostLink: `ntv${host}`,
    parent: "nt0",
    innerLink: "eth0",
    macAddress: `02:42:0a:63:00:0${host}`,
    mtu: 1400,
    ipv4Address: `10.99.0.${host}`,
    ipv4PrefixLength: 24,
    ipv6Address: "",
    ipv6PrefixLength: 0,
    isolated,
  });
  const NOWHERE: linux.DefaultRoutes = { ipv4: "", ipv6: "" };
  const inside = (name: string, ...argv: string[]): Bun.SyncSubprocess<"pipe", "pipe"> =>
    Bun.spawnSync(["nsenter", `--net=${dir}/${name}`, ...argv]);

  test("a bridge is made once, found again, and no other link is taken for one", async () => {
    const made = await kernel.ensureBridge(bridge);
    expect(made).toMatchObject({ name: "nt0", kind: "bridge", up: true, mtu: 1400 });
    expect((await kernel.ensureBridge(bridge)).index).toBe(made.index);
    const addresses = (await kernel.addresses()).filter(({ index }) => index === made.index);
    expect(
      addresses.map(({ address }) => address).filter((one) => !one.startsWith("fe80")),
    ).toEqual(["10.99.0.1", "fd00:99::1"]);
    expect((await failureOf(kernel.ensureBridge({ ...bridge, name: "lo" }))).message).toContain(
      "lo",
    );
  });

  test("a namespace has its address, route, MAC, MTU and sysctls, and packets pass", async () => {
    const sysctls = { "net.ipv4.ip_unprivileged_port_start": "0" };
    await kernel.createNamespace({ path: `${dir}/a`, endpoints: [endpoint(2)], routes, sysctls });
    const link = (await kernel.namespaceLinks(`${dir}/a`))?.find(({ name }) => name === "eth0");
    expect(link).toMatchObject({ up: true, mtu: 1400, macAddress: "02:42:0a:63:00:02" });
    expect(inside("a", "ip", "-4", "route").stdout.toString()).toContain("default via 10.99.0.1");
    expect(inside("a", "ip", "-6", "addr", "show", "eth0").stdout.toString()).toBe("");
    expect(
      inside("a", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start").stdout.toString(),
    ).toBe("0\n");
    expect(linux.readSysctl("net.ipv4.ip_unprivileged_port_start")).toBe("1024");
    expect(inside("a", "busybox", "nc", "-w", "2", "10.99.0.1", "7").exitCode).not.toBe(0);
    const server = Bun.listen({
      hostname: "10.99.0.1",
      port: 0,
      socket: { open: (s) => void s.end("hello"), data: () => undefined },
    });
    const client = Bun.spawn(
      ["nsenter", `--net=${dir}/a`, "busybox", "nc", "-w", "3", "10.99.0.1", String(server.port)],
      { stdin: "ignore", stdout: "pipe" },
    );
    expect(await new Response(client.stdout).text()).toBe("hello");
    server.stop(true);
  });

  test("a namespace with only a loopback", async () => {
    await kernel.createNamespace({ path: `${dir}/none`, endpoints: [], routes: NOWHERE });
    const links = await kernel.namespaceLinks(`${dir}/none`);
    expect(links?.map(({ name, up }) => [name, up])).toEqual([["lo", true]]);
  });

  test("links and routes come and go while a namespace is in use", async () => {
    const path = `${dir}/a`;
    const second = {
      ...endpoint(5),
      innerLink: "eth1",
      ipv6Address: "fd00:99::5",
      ipv6PrefixLength: 64,
    };
    await kernel.addEndpoint(path, second);
    await kernel.setRoutes(path, { ipv4: "10.99.0.1", ipv6: "fd00:99::1" });
    expect(inside("a", "ip", "-6", "route").stdout.toString()).toContain("default via fd00:99::1");
    expect(inside("a", "ip", "-6", "addr", "show", "eth1").stdout.toString()).toContain(
      "fd00:99::5/64",
    );
    await kernel.removeEndpoint(path, "eth1");
    await kernel.removeEndpoint(path, "eth1");
    await kernel.setRoutes(path, { ipv4: "", ipv6: "" });
    expect(inside("a", "ip", "-4", "route").stdout.toString()).not.toContain("default");
    expect((await kernel.namespaceLinks(path))?.map(({ name }) => name)).toEqual(["lo", "eth0"]);
    expect((await kernel.links()).some(({ name }) => name === "ntv5")).toBe(false);
  });

  test("a failure half-way leaves neither file, mount nor link", async () => {
    const elsewhere = { ipv4: "203.0.113.1", ipv6: "" }; // not reachable: refused at the last step
    const bad = { path: `${dir}/bad`, endpoints: [endpoint(4)], routes: elsewhere };
    expect(await failureOf(kernel.createNamespace(bad))).toMatchObject({
      kind: "internal",
      cause: { code: "ENETUNREACH" },
    });
    expect(existsSync(`${dir}/bad`)).toBe(false);
    expect((await kernel.links()).some(({ name }) => name === "ntv4")).toBe(false);
    expect(
      await failureOf(
        kernel.createNamespace({
          path: `${dir}/bad`,
          endpoints: [],
          routes: NOWHERE,
          sysctls: { "net.no.such": "1" },
        }),
      ),
    ).toMatchObject({ kind: "not_found" });
    expect(existsSync(`${dir}/bad`)).toBe(false);
  });

  test("a namespace that nothing holds takes its link along", async () => {
    await kernel.removeNamespace(`${dir}/a`);
    await kernel.removeNamespace(`${dir}/a`);
    expect(await kernel.namespaceLinks(`${dir}/a`)).toBeUndefined();
    const deadlineMs = performance.now() + 5000;
    while ((await kernel.links()).some(({ name }) => name === "ntv2")) {
      expect(performance.now()).toBeLessThan(deadlineMs);
      await Bun.sleep(10);
    }
    await kernel.createNamespace({ path: `${dir}/b`, endpoints: [endpoint(3)], routes });
    await kernel.deleteLinks(["ntv3", "ntv-not-there"]);
    expect((await kernel.namespaceLinks(`${dir}/b`))?.map(({ name }) => name)).toEqual(["lo"]);
  });
});
