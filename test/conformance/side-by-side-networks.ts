import { type Case, type Difference, run, type Step, seen, sorted } from "./side-by-side-case.ts";

const DETACHED = ["run", "-d", "busybox", "sleep", "1000"] as const;
const box = (name: string, ...flags: readonly string[]): Step =>
  run("run", "-d", "--name", name, ...flags, "busybox", "sleep", "1000");
/** In any order: both sort as they like. */
const list = (...args: readonly string[]): Step => ({
  args: ["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}", ...args],
  look: sorted,
});
const IPAM = "{{.Driver}} {{.Internal}} {{.Attachable}} {{json .IPAM.Config}} {{json .Options}}";
const ON =
  "{{range $name, $one := .NetworkSettings.Networks}}{{$name}} {{$one.IPAddress}} {{json $one.IPAMConfig}}{{println}}{{end}}";
const names = (text: string): string => text.replace(/ \(containers? .*\)| id <id>/g, "");

export const NETWORK_CASES: readonly Case[] = [
  {
    name: "network create, ls, inspect and rm",
    steps: [
      { args: ["network", "create", "one"], look: seen },
      run("network", "create", "--label", "a=b", "--subnet", "198.18.7.0/24", "two"),
      run("network", "create", "--internal", "--attachable", "--subnet", "198.18.8.0/24", "three"),
      run(
        ...["network", "create", "--subnet", "198.18.9.0/24", "--ip-range", "198.18.9.64/26"],
        ...["--gateway", "198.18.9.1", "--aux-address", "printer=198.18.9.70"],
        ...["-o", "com.docker.network.driver.mtu=1400", "four"],
      ),
      run("network", "create", "one"),
      run("network", "create", "bridge"),
      run("network", "create", "-d", "host", "five"),
      run("network", "create", "--subnet", "198.18.7.128/25", "five"),
      run("network", "create", "--subnet", "198.18.300.0/24", "five"),
      run("network", "create", "--gateway", "198.18.10.1", "five"),
      run("network", "create", "-o", "com.docker.network.driver.mtu=wide", "five"),
      list(),
      list("-f", "label=a"),
      list("-f", "name=t"),
      list("-f", "type=builtin"),
      list("-f", "driver=bridge"),
      run("network", "inspect", "-f", IPAM, "two", "three", "four"),
      run("network", "inspect", "-f", "{{.Name}}", "nothing"),
      run("network", "rm", "one", "nothing", "two"),
      run("network", "rm", "bridge"),
      { args: ["network", "prune", "-f"], look: sorted },
      list(),
    ],
  },
  {
    name: "networks that containers use: connect, disconnect, aliases, addresses",
    steps: [
      run("network", "create", "--subnet", "198.18.11.0/24", "red"),
      run("network", "create", "--subnet", "198.18.12.0/24", "blue"),
      box("web", "--network", "red", "--ip", "198.18.11.50", "--network-alias", "www"),
      box("other", "--network", "red"),
      run("inspect", "-f", ON, "web"),
      run("exec", "other", "ping", "-c", "1", "-q", "-W", "2", "198.18.11.51"),
      run("network", "connect", "--ip", "198.18.12.7", "blue", "web"),
      run("network", "connect", "blue", "web"),
      run("inspect", "-f", ON, "web"),
      run("exec", "web", "sh", "-c", "ip -4 -o addr show eth1 | awk '{print $4}'"),
      run("exec", "web", "sh", "-c", "cat /etc/resolv.conf | grep nameserver"),
      run("network", "connect", "--ip", "198.18.13.7", "blue", "other"),
      run("network", "connect", "--ip", "198.18.12.7", "blue", "other"),
      run("network", "connect", "nothing", "web"),
      run("network", "connect", "red", "nobody"),
      { args: ["network", "rm", "red"], look: (result) => names(seen(result)) },
      run("network", "disconnect", "blue", "other"),
      run("network", "disconnect", "red", "web"),
      run("inspect", "-f", ON, "web"),
      run("ps", "--filter", "network=red", "--format", "{{.Names}} {{.Networks}}"),
      run("rm", "-f", "web", "other"),
      run("network", "rm", "red", "blue"),
    ],
  },
  {
    name: "run with networks and ports",
    steps: [
      run("network", "create", "--subnet", "198.18.14.0/24", "red"),
      run("run", "--rm", "--network", "nothing", "busybox", "true"),
      run("run", "--rm", "--network", "red", "--ip", "198.18.15.2", "busybox", "true"),
      run("run", "--rm", "--ip", "172.17.0.200", "busybox", "true"),
      run("run", "--rm", "--network", "host", "-p", "80:80", "busybox", "true"),
      run("run", "--rm", "--network", "container:nobody", "busybox", "true"),
      run("run", "--rm", "--network", "none", "busybox", "ip", "-o", "link", "show", "eth0"),
      run("run", "--rm", "--add-host", "up:198.18.0.1", "busybox", "grep", "up", "/etc/hosts"),
      run(
        "run",
        "--rm",
        "--dns",
        "198.18.0.53",
        "--dns-search",
        "x.y",
        "busybox",
        "sort",
        "/etc/resolv.conf",
      ),
      run("run", "--rm", "-p", "70000:80", "busybox", "true"),
      run("run", "--rm", "-p", "nonsense", "busybox", "true"),
      run(
        "create",
        "--name",
        "box",
        "-p",
        "127.0.0.1:28080:80",
        "-p",
        "28081:81/udp",
        "busybox",
        "true",
      ),
      run(
        "inspect",
        "-f",
        "{{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}}",
        "box",
      ),
      run("port", "box"),
      run("rm", "box"),
      box("box", "--network", "red", "-p", "127.0.0.1:28080:80"),
      run("port", "box"),
      run("port", "box", "80"),
      run("port", "box", "81"),
      run("ps", "--format", "{{.Ports}} {{.Networks}}"),
      run(
        ...DETACHED.slice(0, 2),
        "--name",
        "clash",
        "-p",
        "127.0.0.1:28080:80",
        ...DETACHED.slice(2),
      ),
      run("rm", "-f", "box", "clash"),
      run("network", "rm", "red"),
    ],
  },
];

export const NETWORK_DIFFERENT: readonly Difference[] = [
  {
    step: /network create --subnet 198\.18\.(7|300)/,
    why: "the newer words, and with which subnet",
    naru: /Pool overlaps with other one on this address space \(|invalid CIDR block notation/,
  },
  {
    step: /mtu=wide/,
    why: "no quotation of the parser",
    naru: /invalid value "wide" for the network option com\.docker\.network\.driver\.mtu/,
  },
  {
    step: /network inspect .* two three four/,
    why: "a gateway that was chosen is shown at once, not from the engine's next start on",
    naru: /"Gateway":"198\.18\.7\.1"/,
  },
  {
    step: /--ip 198\.18\.1[35]/,
    why: "the words of Docker since 25",
    naru: /no configured subnet or ip-range contain the IP address/,
  },
  {
    step: /network connect --ip 198\.18\.12\.7 blue other/,
    why: "which address",
    naru: /Address already in use: 198\.18\.12\.7/,
  },
  {
    step: /--name clash/,
    why: "a refusal names who has the port",
    naru: /container "box" has the port: Bind for 127\.0\.0\.1:28080 failed/,
  },
];
