import type { PortsUpdateBody } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import { parseRestart } from "../container/host-config.ts";
import { parsePorts } from "../container/port-spec.ts";
import { parseCpus, parseSize } from "../container/quantity.ts";
import { ExitError } from "../exit-error.ts";
import { int, list, text } from "../flags/flag.ts";
import type { FlagValues } from "../flags/flag-values.ts";
import { forEachName } from "./each.ts";

const SIZE = { value: "bytes" };

export const updateCommand: Command = {
  path: "update",
  usage: "CONTAINER [CONTAINER...]",
  summary: "Update configuration of one or more containers",
  flags: [
    int("blkio-weight", "", "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
    int("cpu-period", "", "Limit CPU CFS (Completely Fair Scheduler) period"),
    int("cpu-quota", "", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    int("cpu-rt-period", "", "Limit the CPU real-time period in microseconds"),
    int("cpu-rt-runtime", "", "Limit the CPU real-time runtime in microseconds"),
    int("cpu-shares", "c", "CPU shares (relative weight)"),
    text("cpus", "", "Number of CPUs", { value: "decimal" }),
    text("cpuset-cpus", "", "CPUs in which to allow execution (0-3, 0,1)"),
    text("cpuset-mems", "", "MEMs in which to allow execution (0-3, 0,1)"),
    text("memory", "m", "Memory limit", SIZE),
    text("memory-reservation", "", "Memory soft limit", SIZE),
    text("memory-swap", "", "Memory plus swap: '-1' to enable unlimited swap", SIZE),
    int("pids-limit", "", "Tune container pids limit (set -1 for unlimited)"),
    list("publish-add", "", "Publish one more port, as run --publish has it; naru's engine only"),
    list("publish-rm", "", "Publish a port no more: [[ip:]host:]container[/protocol]"),
    text("restart", "", "Restart policy to apply when a container exits"),
  ],
  minArgs: 1,
  examples: [
    "update --memory 512m --memory-swap 1g web",
    "update --restart always db cache",
    "update --publish-add 127.0.0.1:8443:443 --publish-rm 8080:80 web",
  ],
  async run({ context, values, args }) {
    const body = updateBody(values);
    const ports = portsBody(values);
    const any = Object.keys(body).length > 0;
    if (!any && ports === undefined) {
      throw new ExitError(1, "you must provide one or more flags when using this command");
    }
    const warnings: string[] = [];
    const exitCode = await forEachName(context, args, async (engine, name) => {
      if (any) {
        const answer = await engine.containers.update(name, body);
        warnings.push(...(answer.Warnings ?? []));
      }
      if (ports !== undefined) await engine.containers.updatePorts(name, ports);
      return name;
    });
    if (warnings.length > 0) context.io.stderr.print(`${warnings.join("\n")}\n`);
    return exitCode;
  },
};

const NUMBERS: Readonly<Record<string, string>> = {
  "blkio-weight": "BlkioWeight",
  "cpu-period": "CpuPeriod",
  "cpu-quota": "CpuQuota",
  "cpu-rt-period": "CpuRealtimePeriod",
  "cpu-rt-runtime": "CpuRealtimeRuntime",
  "cpu-shares": "CpuShares",
  "pids-limit": "PidsLimit",
};
const TEXTS: Readonly<Record<string, string>> = {
  "cpuset-cpus": "CpusetCpus",
  "cpuset-mems": "CpusetMems",
};
const SIZES: Readonly<Record<string, string>> = {
  memory: "Memory",
  "memory-reservation": "MemoryReservation",
  "memory-swap": "MemorySwap",
};

function portsBody(values: FlagValues): PortsUpdateBody | undefined {
  const [add, remove] = [values.list("publish-add"), values.list("publish-rm")];
  if (add.length === 0 && remove.length === 0) return undefined;
  return { Add: parsePorts(add, []).bindings, Remove: parsePorts(remove, []).bindings };
}

/** What was asked for, and nothing else: the engine leaves the rest as it is. */
export function updateBody(values: FlagValues): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const add = (names: typeof NUMBERS, valueOf: (flag: string) => unknown): void => {
    for (const [flag, field] of Object.entries(names)) {
      if (values.has(flag)) body[field] = valueOf(flag);
    }
  };
  add(NUMBERS, (flag) => values.int(flag));
  add(TEXTS, (flag) => values.string(flag));
  add(SIZES, (flag) => (values.string(flag) === "-1" ? -1 : parseSize(values.string(flag))));
  if (values.has("cpus")) body["NanoCpus"] = parseCpus(values.string("cpus"));
  if (values.has("restart")) body["RestartPolicy"] = parseRestart(values.string("restart"));
  return body;
}
