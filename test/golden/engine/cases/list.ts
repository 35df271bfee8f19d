/** GET /containers/json: shapes, filters, bad queries. */
import {
  type Case,
  created,
  exited,
  IDLE,
  running,
  SHAPE_VERSIONS,
  type Step,
  sh,
} from "../case.ts";

const THREE: readonly Step[] = [
  ...created({ Cmd: ["true"], Labels: { kind: "created" } }, "never"),
  ...exited({ Cmd: sh("exit 3"), Labels: { kind: "exited", x: "" } }, "done"),
  ...running({ Cmd: IDLE, ExposedPorts: { "80/tcp": {} }, Labels: { kind: "running" } }, "up"),
];

/** Only who matches: the names say it. */
function filtered(filters: unknown, query = "all=1"): Step {
  const text = typeof filters === "string" ? filters : JSON.stringify(filters);
  return {
    call: `GET /containers/json?${query}&filters=${text}`,
    pick: ["[].Names"],
  };
}

export const LIST_CASES: readonly Case[] = [
  {
    name: "list",
    api: SHAPE_VERSIONS,
    steps: [
      { call: "GET /containers/json" },
      ...THREE,
      { call: "GET /containers/json" },
      { call: "GET /containers/json?all=1" },
      { call: "GET /containers/json?all=1&size=1" },
    ],
  },
  {
    name: "list-filters",
    steps: [
      ...THREE,
      filtered({ name: ["up"] }),
      filtered({ name: ["/up"] }),
      filtered({ name: ["^/up$"] }),
      filtered({ name: ["u"] }),
      filtered({ id: ["{c:12}"] }),
      filtered({ status: ["created"] }),
      filtered({ status: ["exited", "running"] }),
      filtered({ status: ["exited"] }, "x=1"),
      filtered({ exited: ["3"] }),
      filtered({ exited: ["0"] }),
      filtered({ label: ["kind"] }),
      filtered({ label: ["kind=running"] }),
      filtered({ label: { "kind=running": true } }),
      filtered({ label: ["kind=running", "x"] }),
      filtered({ ancestor: ["naru-golden:1"] }),
      filtered({ ancestor: ["naru-golden"] }),
      filtered({ ancestor: ["nothing"] }),
      filtered({ before: ["done"] }),
      filtered({ since: ["done"] }),
      filtered({ network: ["bridge"] }),
      filtered({ network: ["nothing"] }),
      filtered({ volume: ["nothing"] }),
      filtered({ publish: ["80"] }),
      filtered({ expose: ["80"] }),
      filtered({ expose: ["80/tcp"] }),
      filtered({ expose: ["70-90/tcp"] }),
      filtered({ health: ["none"] }),
      filtered({ "is-task": ["false"] }),
      filtered({}, "all=0"),
      filtered({}, "limit=1"),
      filtered({}, "limit=0"),
      filtered({}, "limit=-1"),
      filtered({}, "all=false"),
      filtered({}, "all=no"),
      filtered({}, "all=nonsense"),
    ],
  },
  {
    name: "list-filters-refused",
    steps: [
      ...created({}, "web"),
      filtered({ nonsense: ["x"] }),
      filtered({ status: ["nonsense"] }),
      filtered({ health: ["nonsense"] }),
      filtered({ exited: ["x"] }),
      filtered({ before: ["nothing"] }),
      filtered({ since: ["nothing"] }),
      filtered({ "is-task": ["maybe"] }),
      filtered({ publish: ["x"] }),
      filtered({ expose: ["80/x/y"] }),
      filtered({ isolation: ["x"] }),
      filtered("notjson"),
      filtered("[]"),
      filtered("{"),
      filtered({ name: "web" }),
      filtered({ name: ["("] }),
      filtered("null"),
      filtered(""),
      filtered({}, "limit=x"),
      { call: "GET /containers/json?all=1&filters={}&filters={}", pick: ["[].Names"] },
    ],
  },
];
