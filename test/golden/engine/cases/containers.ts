/** Containers: start, inspect, stop, kill, restart, resize, delete, prune, wait. */
import {
  awaitExit,
  type Case,
  created,
  exited,
  IDLE,
  running,
  SHAPE_VERSIONS,
  type Step,
  sh,
  TRAP_SET,
} from "../case.ts";

/** Starts `{c}` with a config that cannot run and shows what is left behind. */
function failingStart(name: string, config: Readonly<Record<string, unknown>>): Case {
  return {
    name: `start-fails-${name}`,
    steps: [
      ...created(config),
      { call: "POST /containers/{c}/start" },
      {
        call: "GET /containers/{c}/json",
        pick: [
          "State.Status",
          "State.Running",
          "State.ExitCode",
          "State.Pid",
          "State.StartedAt",
          "State.FinishedAt",
        ],
      },
      { call: "POST /containers/{c}/wait" },
    ],
  };
}

function onMissing(...calls: readonly string[]): Step[] {
  return calls.map((what) => ({ call: what }));
}

export const CONTAINER_CASES: readonly Case[] = [
  {
    name: "missing-container",
    steps: onMissing(
      "GET /containers/nothing/json",
      "POST /containers/nothing/start",
      "POST /containers/nothing/stop",
      "POST /containers/nothing/restart",
      "POST /containers/nothing/kill",
      "POST /containers/nothing/wait",
      "POST /containers/nothing/resize?h=1&w=1",
      "POST /containers/nothing/attach?stream=1&stdout=1",
      "GET /containers/nothing/logs?stdout=1",
      "GET /containers/nothing/logs",
      "POST /containers/nothing/exec",
      "DELETE /containers/nothing",
      "DELETE /containers/nothing?force=1",
      "GET /exec/nothing/json",
      "POST /exec/nothing/start",
      "POST /exec/nothing/resize?h=1&w=1",
    ),
  },
  {
    name: "start",
    steps: [
      ...created({ Cmd: IDLE }),
      { call: "POST /containers/{c}/start", allHeaders: true },
      { call: "POST /containers/{c}/start", allHeaders: true },
      { call: "POST /containers/{c:12}/start" },
      { call: "POST /containers/web/start" },
    ],
  },
  {
    name: "start-with-body",
    steps: [
      ...created({ Cmd: ["true"] }),
      { call: "POST /containers/{c}/start", body: { Binds: ["/srv:/x"] } },
      { call: "POST /containers/{c}/start", body: "{}" },
    ],
  },
  failingStart("not-found", { Cmd: ["nosuchcommand"] }),
  failingStart("not-found-path", { Cmd: ["/bin/nosuch"] }),
  failingStart("not-executable", { Cmd: ["/bin/notexec"] }),
  failingStart("is-a-directory", { Cmd: ["/etc"] }),
  failingStart("no-such-user", { Cmd: ["true"], User: "nosuch" }),
  failingStart("no-such-group", { Cmd: ["true"], User: "root:nosuch" }),
  failingStart("bad-sysctl", {
    Cmd: ["true"],
    HostConfig: { Sysctls: { "net.ipv4.nosuch": "1" } },
  }),
  failingStart("not-namespaced-sysctl", {
    Cmd: ["true"],
    HostConfig: { Sysctls: { "vm.swappiness": "1" } },
  }),
  failingStart("network-of-missing-container", {
    Cmd: ["true"],
    HostConfig: { NetworkMode: "container:nothing" },
  }),
  failingStart("missing-network", { Cmd: ["true"], HostConfig: { NetworkMode: "nosuchnet" } }),
  failingStart("bad-device", {
    Cmd: ["true"],
    HostConfig: {
      Devices: [{ PathOnHost: "/dev/nosuch", PathInContainer: "/dev/x", CgroupPermissions: "rwm" }],
    },
  }),
  {
    name: "inspect-life",
    api: SHAPE_VERSIONS,
    steps: [
      ...created({ Cmd: IDLE }),
      { call: "POST /containers/{c}/start", quiet: true },
      { call: "GET /containers/{c}/json" },
      TRAP_SET,
      { call: "POST /containers/{c}/stop?t=5", quiet: true },
      { call: "GET /containers/{c}/json?size=1" },
    ],
  },
  {
    name: "inspect-network-modes",
    steps: [
      ...running({ Cmd: IDLE }, "first"),
      ...running({ Cmd: IDLE, HostConfig: { NetworkMode: "none" } }, "none"),
      { call: "GET /containers/none/json" },
      ...running({ Cmd: IDLE, HostConfig: { NetworkMode: "host" } }, "host"),
      { call: "GET /containers/host/json", pick: ["HostConfig.NetworkMode", "NetworkSettings"] },
      ...running({ Cmd: IDLE, HostConfig: { NetworkMode: "container:first" } }, "joined"),
      { call: "GET /containers/joined/json", pick: ["NetworkSettings"] },
    ],
  },
  {
    name: "inspect-mounts",
    steps: [
      { call: "POST /images/load?quiet=1", archive: "derived", quiet: true },
      ...running({
        Image: "naru-golden:derived",
        Cmd: ["sleep 1"],
        Volumes: { "/anon": {} },
        HostConfig: {
          Binds: ["/srv:/bound:ro"],
          Tmpfs: { "/t": "size=1m" },
          Mounts: [
            { Type: "bind", Source: "/srv", Target: "/m", ReadOnly: true },
            { Type: "tmpfs", Target: "/t2", TmpfsOptions: { SizeBytes: 65_536 } },
          ],
        },
      }),
      { call: "GET /containers/{c}/json" },
      { call: "GET /containers/json?all=1" },
    ],
  },
  {
    name: "stop",
    steps: [
      ...running({ Cmd: IDLE }),
      TRAP_SET,
      { call: "POST /containers/{c}/stop?t=5", allHeaders: true },
      { call: "POST /containers/{c}/stop", allHeaders: true },
      {
        call: "GET /containers/{c}/json",
        pick: ["State.ExitCode", "State.Status", "State.Error", "State.OOMKilled"],
      },
      ...running({ Cmd: sh("trap '' TERM; while :; do sleep 0.1; done") }, "stubborn"),
      { call: "POST /containers/{c}/stop?t=1" },
      { call: "GET /containers/{c}/json", pick: ["State.ExitCode", "State.Status"] },
      ...created({ Cmd: IDLE }, "never"),
      { call: "POST /containers/{c}/stop" },
      { call: "POST /containers/{c}/stop?t=abc" },
      { call: "POST /containers/{c}/restart?t=abc" },
    ],
  },
  {
    name: "kill",
    steps: [
      ...running({ Cmd: IDLE }),
      TRAP_SET,
      { call: "POST /containers/{c}/kill?signal=NOSUCH" },
      { call: "POST /containers/{c}/kill?signal=0" },
      { call: "POST /containers/{c}/kill?signal=99" },
      { call: "POST /containers/{c}/kill?signal=-1" },
      { call: "POST /containers/{c}/kill?signal=SIGUSR99" },
      { call: "POST /containers/{c}/kill?signal=term" },
      awaitExit,
      { call: "GET /containers/{c}/json", pick: ["State.ExitCode"] },
      { call: "POST /containers/{c}/kill" },
      { call: "POST /containers/{c}/start", quiet: true },
      { call: "POST /containers/{c}/kill?signal=9" },
      awaitExit,
      { call: "GET /containers/{c}/json", pick: ["State.ExitCode"] },
      { call: "POST /containers/{c}/start", quiet: true },
      { call: "POST /containers/{c}/kill", allHeaders: true },
      ...created({ Cmd: IDLE }, "never"),
      { call: "POST /containers/{c}/kill" },
    ],
  },
  {
    name: "restart",
    steps: [
      ...running({ Cmd: IDLE }),
      TRAP_SET,
      { call: "POST /containers/{c}/restart?t=5" },
      { call: "GET /containers/{c}/json", pick: ["State.Status", "RestartCount"] },
      ...created({ Cmd: IDLE }, "never"),
      { call: "POST /containers/{c}/restart" },
      { call: "GET /containers/{c}/json", pick: ["State.Status", "RestartCount"] },
    ],
  },
  {
    name: "resize",
    steps: [
      ...running({ Cmd: IDLE, Tty: true }),
      { call: "POST /containers/{c}/resize?h=20&w=40" },
      { call: "POST /containers/{c}/resize?h=0&w=0" },
      { call: "POST /containers/{c}/resize?h=x&w=40" },
      { call: "POST /containers/{c}/resize" },
      { call: "POST /containers/{c}/resize?h=-1&w=40" },
      ...running({ Cmd: IDLE }, "notty"),
      { call: "POST /containers/{c}/resize?h=20&w=40" },
      ...created({ Cmd: IDLE, Tty: true }, "never"),
      { call: "POST /containers/{c}/resize?h=20&w=40" },
    ],
  },
  {
    name: "delete",
    steps: [
      ...running({ Cmd: IDLE }),
      { call: "DELETE /containers/web" },
      { call: "DELETE /containers/{c}" },
      { call: "DELETE /containers/web?link=1" },
      { call: "DELETE /containers/web?force=1", allHeaders: true },
      { call: "DELETE /containers/web?force=1" },
      { call: "GET /containers/{c}/json" },
      ...created({ Cmd: IDLE }, "never"),
      { call: "DELETE /containers/never?force=nonsense&v=0" },
    ],
  },
  {
    name: "prefixes",
    steps: [
      ...created({ Cmd: IDLE }, "one"),
      ...created({ Cmd: IDLE }, "two"),
      { call: "GET /containers/{c:12}/json", pick: ["Name"] },
      { call: "GET /containers//two/json" },
      { call: "GET /containers/%2Ftwo/json", pick: ["Name"] },
      { call: "GET /containers/tw/json" },
      { call: "GET /containers/TWO/json" },
    ],
  },
  {
    name: "prune",
    steps: [
      { call: "POST /containers/prune" },
      ...created({ Cmd: ["true"] }, "never"),
      ...running({ Cmd: IDLE }, "up"),
      { call: 'POST /containers/prune?filters={"label":["nothing"]}' },
      { call: 'POST /containers/prune?filters={"until":["1h"]}' },
      { call: 'POST /containers/prune?filters={"until":["nonsense"]}' },
      { call: 'POST /containers/prune?filters={"nonsense":["x"]}' },
      { call: "POST /containers/prune?filters=notjson" },
      { call: "POST /containers/prune" },
    ],
  },
  {
    name: "wait",
    steps: [
      ...exited({ Cmd: sh("exit 5") }),
      { call: "POST /containers/{c}/wait", allHeaders: true },
      { call: "POST /containers/{c}/wait?condition=not-running" },
      { call: "POST /containers/{c}/wait?condition=nonsense" },
      { call: "POST /containers/{c}/wait?condition=" },
      ...created({ Cmd: ["true"] }, "never"),
      { call: "POST /containers/{c}/wait" },
    ],
  },
  {
    name: "wait-early-headers",
    api: ["1.41", "1.24"],
    steps: [
      ...created({ Cmd: sh("sleep 0.3; exit 6") }),
      { call: "POST /containers/{c}/wait?condition=next-exit", hold: "next", allHeaders: true },
      { call: "POST /containers/{c}/wait?condition=removed", hold: "removed", allHeaders: true },
      { call: "POST /containers/{c}/start", quiet: true },
      { finish: "next" },
      { call: "DELETE /containers/{c}?force=1", quiet: true },
      { finish: "removed" },
    ],
  },
  {
    name: "auto-remove",
    steps: [
      ...created({ Cmd: sh("exit 8"), HostConfig: { AutoRemove: true } }),
      { call: "POST /containers/{c}/wait?condition=removed", hold: "removed" },
      { call: "POST /containers/{c}/start" },
      { finish: "removed" },
      { call: "GET /containers/{c}/json" },
    ],
  },
];
