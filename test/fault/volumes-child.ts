import { mkdirSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openVolumes } from "./volumes-fixture.ts";

/*
 * Volumes that are used in every way, one after the other, until the environment's crash point kills
 * this process. What was answered is said. Argument: the root.
 */

const [, , root = ""] = process.argv;
const { volumes } = await openVolumes(root);

function answered(what: string): void {
  writeSync(1, `${what}\n`);
}

const plain = { driver: "", options: {}, labels: {} };
const write = (name: string, file: string, text: string): void =>
  writeFileSync(join(volumes.pathOf(name), file), text);

await volumes.create({ ...plain, name: "steady" });
write("steady", "file", "first");
answered("steady");

const options = { type: "tmpfs", device: "tmpfs" };
await volumes.create({ ...plain, name: "mem", options });
answered("mem");
await volumes.acquire("mem", "c1");
answered("mounted");
await volumes.release("mem", "c1");
answered("unmounted");

mkdirSync(join(root, "image", "sub"), { recursive: true });
for (let index = 0; index < 50; index += 1) {
  writeFileSync(join(root, "image", "sub", `${index}`), "from the image");
}
await volumes.create({ ...plain, name: "filled" });
await volumes.acquire("filled", "c1");
await volumes.copyUp("filled", join(root, "image"));
await volumes.release("filled", "c1");
answered("copied");

await volumes.backups.snapshot("steady", { name: "monday", pause: true });
answered("snapshot");
write("steady", "file", "second");
answered("second");
await volumes.backups.restore("steady", "monday");
answered("restored");
const packed = await volumes.backups.export("filled", { snapshot: "" });
await volumes.backups.import("steady", packed.stream, { replace: true });
await packed.close();
answered("imported");

await volumes.create({ ...plain, name: "victim" });
write("victim", "file", "gone");
await volumes.remove("victim", { force: false });
answered("removed");
answered("end");
process.kill(process.pid, "SIGKILL");
