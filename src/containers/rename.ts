import { isNaruError, NaruError } from "../base/mod.ts";
import { crashPoint } from "./crash-point.ts";
import { parseContainerName } from "./name.ts";
import { publish, type Room } from "./room.ts";

/** Gives a container another name, in the queue. Throws invalid_argument, conflict when it is taken. */
export async function renameContainer(room: Room, id: string, newName: string): Promise<void> {
  const { table } = room;
  if (newName === "") {
    throw new NaruError("invalid_argument", "Neither old nor new names may be empty");
  }
  const before = table.must(id);
  const name = reserveNewName(room, id, newName, before.name);
  crashPoint("rename.before-commit");
  try {
    await table.update(id, (now) => ({ ...now, name }));
    crashPoint("rename.after-commit");
  } catch (error) {
    table.releaseName(name, id);
    throw error;
  }
  table.releaseName(before.name, id);
  if (before.state.kind === "running") {
    const endpoints = await room.options.network.rename(id, before.name, name);
    await table.update(id, (now) => ({ ...now, endpoints }));
  }
  publish(room, table.must(id), "rename", { oldName: `/${before.name}` });
}

/** Docker says for which of the two names it could not be done. */
function reserveNewName(room: Room, id: string, newName: string, oldName: string): string {
  const slashed = newName.startsWith("/") ? newName : `/${newName}`;
  if (slashed.slice(1) === oldName) {
    throw new NaruError(
      "invalid_argument",
      "Renaming a container with the same name as its current name",
    );
  }
  try {
    const name = parseContainerName(slashed);
    room.table.reserveName(name, id);
    return name;
  } catch (error) {
    if (!isNaruError(error)) throw error;
    const message = `Error when allocating new name: ${error.message}`;
    throw new NaruError(error.kind, message, error.details, { cause: error });
  }
}
