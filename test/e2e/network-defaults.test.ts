/** What the daemon's options say of addresses, and of networks that do not say otherwise. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cli, cliOk, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const LIMIT_MS = 60_000;

let engine: TestEngine;
let args: readonly string[] = [];

beforeAll(async () => {
  engine = await startEngine();
  await cliOk(engine, ["load", "-i", (await busyboxFiles()).dockerArchive]);
  await engine.stop();
  args = [
    ...["--ipv6", "--fixed-cidr", `${engine.subnet}.128/25`],
    ...["--default-gateway", `${engine.subnet}.200`],
    ...["--default-address-pool", "base=198.18.0.0/23,size=24"], // RFC 2544: on no network
    ...["--default-network-opt", "bridge=com.docker.network.driver.mtu=1400"],
    ...["--host-gateway-ip", "198.18.255.1", "--host-gateway-ip", "fd00:5::1"],
  ];
  await engine.start({ args });
}, LIMIT_MS);

afterAll(() => engine?.destroy(), LIMIT_MS);

interface Shown {
  readonly IPAM: { readonly Config: readonly Readonly<Record<string, unknown>>[] };
  readonly Options: Readonly<Record<string, string>>;
  readonly DefaultAddressPools: unknown;
}

const run = (...rest: readonly string[]): Promise<string> =>
  cliOk(engine, ["run", "--rm", ...rest]);

const json = async (...rest: readonly string[]): Promise<Shown> =>
  JSON.parse(await cliOk(engine, [...rest, "--format", "{{json .}}"])) as Shown;

describe.skipIf(!privileged())("the daemon's options for networks", () => {
  test(
    "give the default bridge IPv6, a part of its subnet for containers, and another gateway",
    async () => {
      const shown = await json("network", "inspect", "bridge");
      expect(shown).toMatchObject({ EnableIPv6: true, IPAM: { Config: [{}, {}] } });
      expect(shown.IPAM.Config[0]).toEqual({
        Subnet: `${engine.subnet}.0/24`,
        IPRange: `${engine.subnet}.128/25`,
        Gateway: `${engine.subnet}.1`,
        AuxiliaryAddresses: { DefaultGatewayIPv4: `${engine.subnet}.200` },
      });
      expect(shown.Options).toMatchObject({
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.name": engine.bridge,
      });
      await cliOk(engine, ["run", "-d", "--name", "other", "busybox", "sleep", "1000"]);
      const format =
        "{{with .NetworkSettings.Networks.bridge}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
      const [four = "", six = ""] = (await cliOk(engine, ["inspect", "-f", format, "other"])).split(
        " ",
      );
      expect(Number(four.split(".")[3])).toBeGreaterThanOrEqual(128);
      expect(six).toMatch(/^fd/);
      const ping = `ping -c 1 -W 2 ${four} >/dev/null && ping -6 -c 1 -W 2 ${six} >/dev/null`;
      const seen = await run("busybox", "sh", "-c", `${ping} && ip route`);
      expect(seen).toContain(`default via ${engine.subnet}.200`);
    },
    LIMIT_MS,
  );

  test(
    "keep the IPv6 subnet that was chosen, also for the next engine",
    async () => {
      const before = (await json("network", "inspect", "bridge")).IPAM;
      await engine.kill9();
      await engine.start({ args });
      expect((await json("network", "inspect", "bridge")).IPAM).toEqual(before);
    },
    LIMIT_MS,
  );

  test(
    "say where subnets of new networks come from, and which options those have",
    async () => {
      expect((await json("info")).DefaultAddressPools).toEqual([
        { Base: "198.18.0.0/23", Size: 24 },
      ]);
      await cliOk(engine, ["network", "create", "one"]);
      await cliOk(engine, [
        ...["network", "create", "-o", "com.docker.network.driver.mtu=1300", "two"],
      ]);
      const one = await json("network", "inspect", "one");
      expect(one.IPAM.Config[0]?.["Subnet"]).toBe("198.18.0.0/24");
      expect(await run("--network", "one", "busybox", "ip", "link")).toMatch(/eth0.* mtu 1400 /);
      expect(await run("--network", "two", "busybox", "ip", "link")).toMatch(/eth0.* mtu 1300 /);
      const third = await cli(engine, ["network", "create", "three"]);
      expect(third.stderr).toContain("default-address-pools");
      await cliOk(engine, ["network", "rm", "one", "two"]);
    },
    LIMIT_MS,
  );

  test(
    "say what host-gateway means",
    async () => {
      const hosts = await run("--add-host", "up:host-gateway", "busybox", "cat", "/etc/hosts");
      expect(hosts).toContain("198.18.255.1\tup\nfd00:5::1\tup\n");
    },
    LIMIT_MS,
  );
});
