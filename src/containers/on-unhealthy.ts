import { NaruError } from "../base/mod.ts";
import type { HostConfig } from "../spec/mod.ts";
import { publish, type Room } from "./room.ts";
import { startContainer } from "./start.ts";
import { stopContainer } from "./stop.ts";

/** Carries `--on-unhealthy`: an annotation, so that every client can send it. See decision 0021. */
export const ON_UNHEALTHY_ANNOTATION: string = "naru.on-unhealthy";

export type UnhealthyAction = "none" | "restart" | "stop" | "kill";

const ACTIONS: readonly string[] = ["none", "restart", "stop", "kill"];
const SIGKILL = 9;

/** Throws invalid_argument. */
export function checkOnUnhealthy(host: HostConfig): void {
  const text = host.Annotations?.[ON_UNHEALTHY_ANNOTATION] ?? "none";
  const fail = (why: string): NaruError =>
    new NaruError("invalid_argument", `annotation ${ON_UNHEALTHY_ANNOTATION}: ${why}`, {
      field: "Annotations",
    });
  if (!ACTIONS.includes(text)) throw fail(`"${text}" is none of ${ACTIONS.join(", ")}`);
  if (text === "restart" && host.AutoRemove) {
    throw fail("a container that removes itself cannot be restarted");
  }
}

export function onUnhealthy(host: HostConfig): UnhealthyAction {
  return (host.Annotations?.[ON_UNHEALTHY_ANNOTATION] ?? "none") as UnhealthyAction;
}

/** What was asked for when a check failed for good, unless the run has ended since. */
export async function actOnUnhealthy(room: Room, id: string, runNumber: number): Promise<void> {
  const isThatRun = (): boolean => {
    const record = room.table.get(id);
    return record?.state.kind === "running" && record.runNumber === runNumber;
  };
  if (!isThatRun() || room.closing) return;
  const record = room.table.must(id);
  const action = onUnhealthy(record.hostConfig);
  if (action === "none") return;
  room.options.logger.info("unhealthy container", { id, name: record.name, action });
  if (action === "kill") {
    // Nobody asked for it: the restart policy decides what comes next.
    publish(room, record, "kill", { signal: String(SIGKILL) });
    await room.options.monitor.kill(id, record.runtime, SIGKILL);
    return;
  }
  await room.queue.run(id, async () => {
    if (!isThatRun() || room.closing) return;
    await stopContainer(room, id, { signal: "", timeoutSeconds: undefined });
    if (action === "stop") return;
    await startContainer(room, id, { byUser: false });
    publish(room, room.table.must(id), "restart");
  });
}
