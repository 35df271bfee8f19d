/** kill -9 at each named place of a volume's life: what was answered is so, and everything is whole. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { listMounts, mountsBelow, umountDetached } from "../../src/linux/mod.ts";
import { VOLUME_CRASH_POINTS } from "../../src/volumes/mod.ts";
import { privileged } from "../harness/cli.ts";
import { type OpenVolumes, openVolumes } from "./volumes-fixture.ts";

const TEST_TIMEOUT_MS = 20_000;
/** Points that are passed more than once: by other volumes, and by an import after a restore. */
const LATER: readonly string[] = [
  "volume-create.before-commit:3",
  "volume-create.after-commit:3",
  "restore.before-exchange:2",
  "restore.after-exchange:2",
];

const roots: string[] = [];
afterAll(() => {
  for (const root of roots) {
    for (const { target } of mountsBelow(root, listMounts())) umountDetached(target);
    rmSync(root, { recursive: true, force: true });
  }
});

async function crashAt(point: string): Promise<{ root: string; answered: Set<string> }> {
  const root = mkdtempSync("/tmp/naru-fault-volumes-");
  roots.push(root);
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "volumes-child.ts"), root], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NARU_CRASH_AT: point },
  });
  const [text, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.signalCode !== "SIGKILL") throw new Error(`the child ended by itself: ${errors}`);
  const answered = new Set(text.trim().split("\n"));
  if (answered.has("end")) throw new Error(`${point} was never reached`);
  return { root, answered };
}

/** What was answered last, or what was under way, whole: never a mixture and never nothing. */
function checkSteady({ volumes }: OpenVolumes, answered: ReadonlySet<string>): void {
  if (!answered.has("steady")) return;
  const path = volumes.pathOf("steady");
  if (existsSync(join(path, "sub"))) {
    expect(readdirSync(path)).toEqual(["sub"]);
    expect(readdirSync(join(path, "sub"))).toHaveLength(50);
    return;
  }
  expect(answered.has("imported")).toBe(false);
  expect(readdirSync(path)).toEqual(["file"]);
  const text = readFileSync(join(path, "file"), "utf8");
  if (answered.has("restored") || !answered.has("second")) expect(text).toBe("first");
  else expect(["first", "second"]).toContain(text);
}

async function checkOthers(open: OpenVolumes, answered: ReadonlySet<string>): Promise<void> {
  const { volumes } = open;
  for (const name of ["steady", "mem"].filter((one) => answered.has(one))) {
    expect(volumes.get(name)).toBeDefined();
  }
  if (volumes.get("filled") !== undefined) {
    const path = await volumes.acquire("filled", "c2");
    await volumes.copyUp("filled", join(open.root, "image"));
    expect(readdirSync(join(path, "sub"))).toHaveLength(50);
    await volumes.release("filled", "c2");
  }
  const snapshots = (await volumes.backups.list("")).map(({ Name }) => Name);
  if (answered.has("snapshot")) expect(snapshots).toEqual(["monday"]);
  for (const name of snapshots) await volumes.backups.restore("steady", name);
  if (snapshots.length > 0) {
    expect(readFileSync(join(volumes.pathOf("steady"), "file"), "utf8")).toBe("first");
  }
  if (answered.has("removed")) expect(volumes.get("victim")).toBeUndefined();
  if (volumes.get("victim") !== undefined) {
    expect(readFileSync(join(volumes.pathOf("victim"), "file"), "utf8")).toBe("gone");
  }
}

describe.skipIf(!privileged())("killed at", () => {
  for (const point of [...VOLUME_CRASH_POINTS, ...LATER]) {
    test(
      point,
      async () => {
        const { root, answered } = await crashAt(point);
        const open = await openVolumes(root);
        expect(mountsBelow(root, listMounts()).map(({ target }) => target)).toEqual([]);
        checkSteady(open, answered);
        await checkOthers(open, answered);
        const names = [...open.volumes.all()].map(({ name }) => name);
        await open.settle();
        expect(readdirSync(join(root, "volumes")).sort()).toEqual(names.sort());
        for (const name of names) {
          const inside = readdirSync(join(root, "volumes", name));
          expect(inside.filter((one) => one !== "_data")).toEqual([]);
        }
        const snapshots = join(root, "volumes-snapshots");
        const kept = existsSync(snapshots) ? readdirSync(snapshots) : [];
        expect(kept.filter((one) => one !== "steady")).toEqual([]);
      },
      TEST_TIMEOUT_MS,
    );
  }
});
