import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { memoryMetadata } from "../../test/fakes/memory-metadata.ts";
import { systemClock } from "../base/mod.ts";
import { createVolumeStore } from "./volume-store.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp("/tmp/naru-volumes-");
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("a prepared volume exists for others once it was committed and adopted", async () => {
  const metadata = memoryMetadata();
  const options = { metadata, dir: join(root, "a"), clock: systemClock };
  const store = createVolumeStore(options);
  const prepared = store.prepare("data");
  expect(store.get("data")).toBeUndefined();
  if (prepared.change !== undefined) await metadata.commit([prepared.change]);
  store.adopt([prepared]);
  expect(store.prepare("data").change).toBeUndefined();
  expect(createVolumeStore(options).get("data")?.name).toBe("data");
});

test("names that are no volume names are refused", () => {
  const store = createVolumeStore({ metadata: memoryMetadata(), dir: root, clock: systemClock });
  for (const name of ["../x", "a/b", "x", "-a", "", "a".repeat(256)]) {
    expect(() => store.prepare(name)).toThrow("invalid characters");
  }
});

test("copies up into an empty volume once, and again after a copy that was cut off", async () => {
  const store = createVolumeStore({
    metadata: memoryMetadata(),
    dir: join(root, "b"),
    clock: systemClock,
  });
  const source = join(root, "source");
  await mkdir(join(source, "sub"), { recursive: true });
  await writeFile(join(source, "file"), "one");
  await symlink("/etc/passwd", join(source, "link"));
  await chmod(source, 0o750);
  await store.copyUp("vol", source);
  const data = store.dataDir("vol");
  expect(await readFile(join(data, "file"), "utf8")).toBe("one");
  expect((await stat(data)).mode & 0o777).toBe(0o750);
  expect(existsSync(join(data, "sub"))).toBe(true);
  await writeFile(join(data, "file"), "two");
  await store.copyUp("vol", source);
  expect(await readFile(join(data, "file"), "utf8")).toBe("two");
  await writeFile(join(root, "b", "vol", "copying"), "");
  await store.copyUp("vol", source);
  expect(await readFile(join(data, "file"), "utf8")).toBe("one");
});

test("sweep takes directories without a row and leaves the others", async () => {
  const metadata = memoryMetadata();
  const store = createVolumeStore({ metadata, dir: join(root, "c"), clock: systemClock });
  store.adopt([store.prepare("kept")]);
  await store.materialise("kept");
  await store.materialise("lost");
  await store.sweep();
  expect(existsSync(store.dataDir("kept"))).toBe(true);
  expect(existsSync(store.dataDir("lost"))).toBe(false);
});
