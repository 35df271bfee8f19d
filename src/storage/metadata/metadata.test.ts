import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection, rejectionMessage } from "../../../test/fakes/rejection.ts";
import { openMetadata, openMetadataReadOnly } from "./metadata.ts";

const root = mkdtempSync(join(tmpdir(), "naru-metadata-"));
let serial = 0;
const newPath = (): string => join(root, `${(serial += 1)}.db`);

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs `code` in a process that ends with kill -9. */
async function inKilledProcess(code: string): Promise<void> {
  const module = join(import.meta.dir, "metadata.ts");
  const source = `import { openMetadata } from ${JSON.stringify(module)};\n${code}\nprocess.kill(process.pid, "SIGKILL");`;
  const file = join(root, `killed-${(serial += 1)}.ts`);
  writeFileSync(file, source);
  const child = Bun.spawn([process.execPath, file], { stdout: "inherit", stderr: "inherit" });
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
}

describe("metadata", () => {
  test("gives back what was committed, in key order, after a restart", async () => {
    const path = newPath();
    const first = await openMetadata(path);
    await first.commit([
      { table: "images", key: "b", value: { tags: ["x"] } },
      { table: "images", key: "a", value: null },
      { table: "references", key: "r", value: "image" },
    ]);
    await first.commit([{ table: "references", key: "r", value: undefined }]);
    await first.close();
    const second = await openMetadata(path);
    expect(second.rows("images")).toEqual([
      ["a", null],
      ["b", { tags: ["x"] }],
    ]);
    expect(second.rows("references")).toEqual([]);
    await second.close();
  });

  test("keeps what was resolved when the process is killed", async () => {
    const path = newPath();
    await inKilledProcess(
      `const m = await openMetadata(${JSON.stringify(path)});
       await Promise.all(Array.from({ length: 50 }, (_, i) => m.commit([{ table: "settings", key: String(i), value: i }])));`,
    );
    using reader = openMetadataReadOnly(path);
    expect(reader.rows("settings").length).toBe(50);
    const again = await openMetadata(path);
    expect(again.rows("settings").length).toBe(50);
    await again.close();
  });

  test("a value is what it was at the time of the call", async () => {
    const metadata = await openMetadata(newPath());
    const value = { count: 1 };
    const done = metadata.commit([{ table: "settings", key: "k", value }]);
    value.count = 2;
    await done;
    await metadata.close();
    using reader = openMetadataReadOnly(join(root, `${serial}.db`));
    expect(reader.rows("settings")).toEqual([["k", { count: 1 }]]);
  });

  test("a reader works beside an open engine and sees its last commit", async () => {
    const path = newPath();
    const metadata = await openMetadata(path);
    await metadata.commit([{ table: "volumes", key: "v", value: 1 }]);
    using reader = openMetadataReadOnly(path);
    expect(reader.rows("volumes")).toEqual([["v", 1]]);
    await metadata.commit([{ table: "volumes", key: "w", value: 2 }]);
    expect(reader.rows("volumes").length).toBe(2);
    await metadata.close();
  });

  test("a second engine on the same file is refused", async () => {
    const path = newPath();
    const metadata = await openMetadata(path);
    expect(await rejection(openMetadata(path))).toMatchObject({ kind: "conflict" });
    await metadata.close();
    await (await openMetadata(path)).close();
  });

  test("after close a commit is refused", async () => {
    const metadata = await openMetadata(newPath());
    await metadata.close();
    const late = metadata.commit([{ table: "settings", key: "k", value: 1 }]);
    expect(await rejection(late)).toMatchObject({ kind: "unavailable" });
  });

  test("close waits for the commits under way", async () => {
    const path = newPath();
    const metadata = await openMetadata(path);
    const commits = Array.from({ length: 20 }, (_, index) =>
      metadata.commit([{ table: "settings", key: `k${index}`, value: index }]),
    );
    await metadata.close();
    await Promise.all(commits);
    using reader = openMetadataReadOnly(path);
    expect(reader.rows("settings").length).toBe(20);
  });
});

describe("a database that cannot be used", () => {
  test("a newer version is refused by name and left as it is", async () => {
    const path = newPath();
    const database = new Database(path, { create: true });
    database.run("PRAGMA user_version = 999");
    database.close();
    const before = readFileSync(path);
    expect(await rejection(openMetadata(path))).toMatchObject({ kind: "unsupported" });
    expect(await rejectionMessage(openMetadata(path))).toMatch(/version 999/);
    expect(() => openMetadataReadOnly(path)).toThrow(/version 999/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a file that is no database is refused and left as it is", async () => {
    const path = newPath();
    writeFileSync(path, "this is not a database ".repeat(500));
    const before = readFileSync(path);
    expect(await rejection(openMetadata(path))).toMatchObject({ kind: "damaged" });
    expect(await rejectionMessage(openMetadata(path))).toMatch(/restore a backup/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a page full of garbage is found at open", async () => {
    const path = newPath();
    const metadata = await openMetadata(path);
    const rows = Array.from({ length: 500 }, (_, index) => ({
      table: "images" as const,
      key: `key-${index}`,
      value: "x".repeat(200),
    }));
    await metadata.commit(rows);
    await metadata.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, bytes.length - 16_384, bytes.length - 4096);
    writeFileSync(path, bytes);
    expect(await rejection(openMetadata(path))).toMatchObject({ kind: "damaged" });
  });

  test("a log without its database is not thrown away", async () => {
    const path = newPath();
    writeFileSync(`${path}-wal`, "content");
    expect(await rejection(openMetadata(path))).toMatchObject({ kind: "damaged" });
    expect(readFileSync(`${path}-wal`, "utf8")).toBe("content");
  });

  test("reading what is not there says so", () => {
    expect(() => openMetadataReadOnly(newPath())).toThrow(/no database at/);
  });
});
