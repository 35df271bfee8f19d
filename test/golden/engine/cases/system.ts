/** _ping, version, info, events, and what every answer has in common. */
import { awaitExit, type Case, created, exited, IDLE, running, SHAPE_VERSIONS, sh } from "../case.ts";

const INFO_KEEP = [
  "OSType", "Architecture", "CgroupVersion", "DefaultRuntime", "Swarm.LocalNodeState", "Isolation",
  "IndexServerAddress", "RegistryConfig.IndexConfigs", "Containers", "Images", "Warnings",
];

export const SYSTEM_CASES: readonly Case[] = [
  {
    name: "ping",
    steps: [
      { call: "GET /_ping", allHeaders: true },
      { call: "HEAD /_ping", allHeaders: true },
      { call: "GET /_ping", bare: true, allHeaders: true },
      { call: "HEAD /_ping", bare: true, allHeaders: true },
      { call: "POST /_ping", bare: true },
    ],
  },
  {
    name: "headers",
    steps: [
      { call: "GET /containers/json", allHeaders: true },
      { call: "GET /containers/nothing/json", allHeaders: true },
      { call: "GET /no-such-route", allHeaders: true },
      { call: "GET /containers/json", bare: true, allHeaders: true },
    ],
  },
  {
    name: "routes-unknown",
    steps: [
      { call: "GET /nothing", bare: true },
      { call: "GET /v1.41/nothing", bare: true },
      { call: "GET /", bare: true },
      { call: "PATCH /containers/json" },
      { call: "DELETE /containers/json" },
      { call: "PUT /containers/create" },
      { call: "GET /containers/create" },
      { call: "POST /version" },
      { call: "GET /containers//json" },
      { call: "GET /containers/json/" },
    ],
  },
  {
    name: "versions-out-of-range",
    steps: [
      { call: "GET /v1.42/version", bare: true },
      { call: "GET /v9.99/_ping", bare: true },
      { call: "GET /v1.11/version", bare: true },
      { call: "GET /v1.9/version", bare: true },
      { call: "GET /v1.1/_ping", bare: true },
      { call: "GET /v0.1/version", bare: true },
      { call: "GET /v2.0/version", bare: true },
      { call: "GET /vx/version", bare: true },
      { call: "GET /v1/version", bare: true },
      { call: "GET /v1.41.1/version", bare: true },
    ],
  },
  {
    name: "version",
    api: SHAPE_VERSIONS,
    steps: [{ call: "GET /version", form: "shape", keep: ["Os", "Arch", "ApiVersion", "Experimental"] }],
  },
  {
    name: "info",
    api: SHAPE_VERSIONS,
    steps: [{ call: "GET /info", form: "shape", keep: INFO_KEEP }],
  },
  {
    name: "events-run-rm",
    api: ["1.41", "1.30"],
    steps: [
      { call: "GET /events", hold: "events", form: "lines" },
      {
        call: "POST /containers/create?name=web",
        body: {
          Image: "naru-golden:1",
          Cmd: sh("sleep 0.2; exit 3"),
          Labels: { a: "b" },
          HostConfig: { AutoRemove: true },
        },
        save: { c: "Id" },
        quiet: true,
      },
      { call: "POST /containers/{c}/attach?stream=1&stdout=1&stderr=1", upgrade: true, hold: "attach", quiet: true },
      { call: "POST /containers/{c}/wait?condition=removed", hold: "wait" },
      { call: "POST /containers/{c}/start", quiet: true },
      { finish: "attach" },
      { finish: "wait" },
      { expect: "events", text: '"destroy"' },
      { drop: "events" },
    ],
  },
  {
    name: "events-kill-stop-restart-rename",
    steps: [
      ...created({ Cmd: IDLE }),
      { call: "GET /events", hold: "events", form: "lines" },
      { call: "POST /containers/{c}/start", quiet: true },
      { call: "POST /containers/{c}/resize?h=10&w=20", quiet: true },
      { call: "POST /containers/{c}/restart?t=5", quiet: true },
      { call: "POST /containers/{c}/stop?t=5", quiet: true },
      { call: "POST /containers/{c}/start", quiet: true },
      { call: "POST /containers/{c}/kill?signal=KILL", quiet: true },
      awaitExit,
      { call: "DELETE /containers/{c}", quiet: true },
      { expect: "events", text: '"destroy"' },
      { drop: "events" },
    ],
  },
  {
    name: "events-exec",
    steps: [
      ...running({ Cmd: IDLE }),
      { call: 'GET /events?filters={"type":["container"]}', hold: "events", form: "lines" },
      { call: "POST /containers/{c}/exec", body: { Cmd: ["sh", "-c", "exit 4"] }, save: { e: "Id" }, quiet: true },
      { call: "POST /exec/{e}/start", body: {}, quiet: true },
      { expect: "events", text: "exec_die" },
      { drop: "events" },
    ],
  },
  {
    name: "events-images",
    api: ["1.41", "1.24"],
    steps: [
      { call: "GET /events", hold: "events", form: "lines" },
      { call: "POST /images/naru-golden:1/tag?repo=other&tag=x", quiet: true },
      { call: "POST /images/load?quiet=1", archive: "derived", quiet: true },
      { call: "DELETE /images/other:x", quiet: true },
      { call: "DELETE /images/naru-golden:other", quiet: true },
      { call: "DELETE /images/naru-golden:derived", quiet: true },
      { expect: "events", text: '"delete"' },
      { drop: "events" },
    ],
  },
  {
    name: "events-queries",
    steps: [
      ...exited({ Cmd: ["true"] }),
      { call: 'GET /events?since=0&until=1&filters={"container":["{c}"]}', allHeaders: true },
      { call: 'GET /events?since=1&until=99999999999&filters={"container":["nothing"],"event":["die"]}', hold: "e" },
      { drop: "e" },
      { call: "GET /events?since=yesterday" },
      { call: "GET /events?until=x" },
      { call: "GET /events?since=20&until=10" },
      { call: 'GET /events?filters={"nonsense":["x"]}', hold: "f" },
      { drop: "f" },
      { call: "GET /events?filters=notjson" },
      { call: 'GET /events?filters=["type"]' },
      { call: 'GET /events?until=1&filters={"type":{"container":true}}' },
    ],
  },
];
