import { rm } from "node:fs/promises";
import { crashPoint } from "./crash-point.ts";
import { removeContainer } from "./remove.ts";
import { scheduleRestart } from "./restart.ts";
import { bundleDir, pathsOf, type Room } from "./room.ts";

/** Once a run is out of the kernel: AutoRemove, or the row with its exit and what the policy wants. */
export async function afterRun(room: Room, id: string): Promise<void> {
  const record = room.table.must(id);
  if (record.hostConfig.AutoRemove && !room.removing.has(id)) {
    await removeContainer(room, id, { volumes: true, force: false });
    return;
  }
  crashPoint("exit.before-commit");
  await room.table.update(id, (now) => ({ ...now, endpoints: [] }));
  crashPoint("exit.after-commit");
  await rm(bundleDir(room, id), { recursive: true, force: true });
  await rm(pathsOf(room, record).persistDir, { recursive: true, force: true });
  if (!room.closing) await scheduleRestart(room, id);
}
