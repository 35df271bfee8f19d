/** What is done with a container between its start and its end; its networks, ports and volumes. */
import { awaitExit, type Case, created, exited, IDLE, running, sh, TRAP_SET } from "../case.ts";

const CLASH = {
  Cmd: IDLE,
  ExposedPorts: { "80/tcp": {} }, // a binding of a port that is not exposed is ignored
  HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "18080" }] } },
};

export const LIFE_CASES: readonly Case[] = [
  {
    name: "archive",
    steps: [
      ...created({ Cmd: sh("true") }),
      { call: "HEAD /containers/{c}/archive?path=/etc/passwd", allHeaders: true },
      { call: "HEAD /containers/{c}/archive?path=/etc", allHeaders: true },
      { call: "HEAD /containers/{c}/archive?path=/bin/sh", allHeaders: true },
      { call: "HEAD /containers/{c}/archive?path=/nothing" },
      { call: "GET /containers/{c}/archive?path=/nothing" },
      { call: "GET /containers/{c}/archive?path=" },
      { call: "GET /containers/{c}/archive" },
      { call: "GET /containers/nothing/archive?path=/etc" },
      { call: "GET /containers/{c}/archive?path=/etc/passwd/x" },
      { call: "PUT /containers/{c}/archive?path=/srv", archive: "rootfs" },
      { call: "PUT /containers/{c}/archive?path=/nothing", archive: "rootfs" },
      { call: "PUT /containers/{c}/archive?path=/etc/passwd", archive: "rootfs" },
      { call: "PUT /containers/{c}/archive?path=/srv", archive: "garbage" },
      { call: "PUT /containers/{c}/archive", archive: "rootfs" },
      { call: "PUT /containers/{c}/archive?path=/&noOverwriteDirNonDir=1", archive: "rootfs" },
    ],
  },
  {
    name: "archive-read-only",
    steps: [
      ...running({ Cmd: IDLE, HostConfig: { ReadonlyRootfs: true, Binds: ["/srv:/ro:ro"] } }),
      { call: "PUT /containers/{c}/archive?path=/srv", archive: "rootfs" },
      { call: "PUT /containers/{c}/archive?path=/ro", archive: "rootfs" },
    ],
  },
  {
    name: "rename",
    steps: [
      ...created({}, "one"),
      ...created({}, "two"),
      { call: "POST /containers/{c}/rename?name=three" },
      { call: "POST /containers/{c}/rename?name=one" },
      { call: "POST /containers/{c}/rename?name=three" },
      { call: "POST /containers/{c}/rename?name=-x" },
      { call: "POST /containers/{c}/rename?name=" },
      { call: "POST /containers/nothing/rename?name=x" },
    ],
  },
  {
    name: "pause",
    steps: [
      ...running({ Cmd: IDLE }),
      TRAP_SET,
      { call: "GET /events", hold: "events", form: "lines" },
      { call: "POST /containers/{c}/pause" },
      { call: "GET /containers/{c}/json", pick: ["State.Status", "State.Running", "State.Paused"] },
      { call: "GET /containers/json", pick: ["[].State", "[].Status"] },
      { call: "POST /containers/{c}/restart?t=1" },
      TRAP_SET,
      { call: "POST /containers/{c}/pause" },
      { call: "DELETE /containers/{c}" },
      { call: "POST /containers/{c}/stop?t=1" },
      { call: "POST /containers/{c}/pause" },
      { call: "POST /containers/nothing/pause" },
      { drop: "events" },
    ],
  },
  {
    name: "top",
    steps: [
      ...running({ Cmd: ["sleep", "60"] }),
      { call: "GET /containers/{c}/top?ps_args=-o%20pid,args", pick: ["Titles"] },
      { call: "GET /containers/{c}/top?ps_args=-o%20args" },
      { call: "GET /containers/{c}/top?ps_args=--nonsense" },
      { call: "POST /containers/{c}/kill", quiet: true },
      awaitExit,
      { call: "GET /containers/{c}/top" },
    ],
  },
  {
    name: "changes",
    steps: [
      ...exited({ Cmd: sh("touch /srv/new; rm /etc/group; echo x >> /etc/passwd") }),
      { call: "GET /containers/{c}/changes" },
      ...created({}, "never"),
      { call: "GET /containers/{c}/changes" },
    ],
  },
  {
    name: "stats",
    steps: [
      ...running({ Cmd: IDLE }),
      { call: "GET /containers/{c}/stats?stream=0", form: "shape" },
      { call: "GET /containers/{c}/stats?stream=0&one-shot=1", form: "shape" },
      { call: "POST /containers/{c}/kill", quiet: true },
      awaitExit,
      { call: "GET /containers/{c}/stats?stream=0", form: "shape" },
      { call: "GET /containers/nothing/stats?stream=0" },
    ],
  },
  {
    name: "update",
    steps: [
      ...running({ Cmd: IDLE, HostConfig: { Memory: 33_554_432 } }),
      {
        call: "POST /containers/{c}/update",
        body: { Memory: 67_108_864, MemorySwap: 134_217_728 },
      },
      { call: "POST /containers/{c}/update", body: { Memory: 1 } },
      { call: "POST /containers/{c}/update", body: { RestartPolicy: { Name: "nonsense" } } },
      { call: "POST /containers/{c}/update", body: {} },
      { call: "POST /containers/{c}/update", body: "{" },
    ],
  },
  {
    name: "ports",
    steps: [
      ...running({
        Cmd: IDLE,
        ExposedPorts: { "80/tcp": {}, "81/tcp": {}, "53/udp": {} },
        HostConfig: {
          PortBindings: {
            "80/tcp": [{ HostPort: "18080" }],
            "53/udp": [{ HostIp: "127.0.0.1", HostPort: "15353" }],
          },
        },
      }),
      {
        call: "GET /containers/{c}/json",
        pick: ["NetworkSettings.Ports", "HostConfig.PortBindings", "Config.ExposedPorts"],
      },
      { call: "GET /containers/json", pick: ["[].Ports"] },
      ...created(CLASH, "clash"),
      { call: "POST /containers/{c}/start" },
      { call: "GET /containers/{c}/json", pick: ["State.Status", "State.ExitCode", "State.Error"] },
    ],
  },
  {
    name: "health",
    steps: [
      ...running({
        Cmd: IDLE,
        Healthcheck: {
          Test: ["CMD-SHELL", "echo well"],
          Interval: 100_000_000,
          Timeout: 1_000_000_000,
          Retries: 2,
        },
      }),
      { call: "GET /events", hold: "events", form: "lines" },
      { call: "GET /containers/{c}/json", pick: ["State.Health.Status", "Config.Healthcheck"] },
      { expect: "events", text: "health_status" },
      { drop: "events" },
      {
        call: "GET /containers/{c}/json",
        pick: ["State.Health.Status", "State.Health.FailingStreak"],
      },
      {
        call: 'GET /containers/json?filters={"health":["healthy"]}',
        pick: ["[].Names", "[].Status"],
      },
    ],
  },
  {
    name: "networks",
    steps: [
      { call: 'GET /networks?filters={"name":["none"]}' },
      { call: "GET /networks/bridge" },
      { call: "GET /networks/nothing" },
      { call: "DELETE /networks/bridge" },
      { call: "DELETE /networks/nothing" },
      {
        call: "POST /networks/create",
        body: { Name: "golden", CheckDuplicate: true },
        save: { n: "Id" },
      },
      { call: "POST /networks/create", body: { Name: "golden", CheckDuplicate: true } },
      { call: "GET /networks/golden" },
      ...running({ Cmd: IDLE, HostConfig: { NetworkMode: "golden" } }),
      {
        call: "GET /containers/{c}/json",
        pick: ["NetworkSettings.Networks", "HostConfig.NetworkMode"],
      },
      { call: "DELETE /networks/golden" },
      { call: "POST /networks/golden/disconnect", body: { Container: "nothing" } },
      { call: "POST /networks/golden/connect", body: { Container: "nothing" } },
      { call: "POST /networks/golden/disconnect", body: { Container: "web", Force: true } },
      { call: "POST /networks/golden/disconnect", body: { Container: "web" } },
      { call: "DELETE /networks/golden" },
      { call: "POST /networks/create", body: { Name: "" } },
      { call: 'GET /networks?filters={"nonsense":["x"]}' },
    ],
  },
  {
    name: "volumes",
    steps: [
      { call: "GET /volumes" },
      { call: "POST /volumes/create", body: { Name: "golden", Labels: { a: "b" } } },
      { call: "POST /volumes/create", body: { Name: "golden" } },
      { call: "GET /volumes/golden" },
      { call: "GET /volumes/nothing" },
      { call: "DELETE /volumes/nothing" },
      ...created({ HostConfig: { Binds: ["golden:/v"] } }),
      { call: "GET /containers/{c}/json", pick: ["Mounts", "HostConfig.Binds"] },
      { call: "DELETE /volumes/golden" },
      { call: "DELETE /volumes/golden?force=1" },
      { call: "DELETE /containers/{c}", quiet: true },
      { call: "DELETE /volumes/golden" },
      { call: "POST /volumes/create", body: { Name: "-x" } },
      { call: 'GET /volumes?filters={"nonsense":["x"]}' },
    ],
  },
];
