import { expect, test } from "bun:test";
import { memoryMetadata } from "../../test/fakes/memory-metadata.ts";
import { containerRecord } from "../../test/fakes/records.ts";
import { ContainerTable } from "./container-table.ts";

const A = `a1${"0".repeat(62)}`;
const B = `a2${"0".repeat(62)}`;

async function twoContainers() {
  const metadata = memoryMetadata();
  const table = new ContainerTable(metadata);
  for (const [id, name] of [
    [A, "web"],
    [B, "a1"],
  ] as const) {
    table.reserveName(name, id);
    await table.put(containerRecord({ id, name }));
  }
  return { metadata, table };
}

test("found by id, prefix, name with or without slash; a name comes before a prefix", async () => {
  const { table } = await twoContainers();
  expect(table.find(A).name).toBe("web");
  expect(table.find("a10").id).toBe(A);
  expect(table.find("/web").id).toBe(A);
  expect(table.find("a1").id).toBe(B); // the name, though it is a prefix of the other's id
  expect(() => table.find("a")).toThrow("multiple IDs found with provided prefix: a");
  expect(() => table.find("we")).toThrow("No such container: we");
});

test("what was committed is there after a restart, what was removed is not", async () => {
  const { metadata, table } = await twoContainers();
  await table.update(A, (now) => ({ ...now, runNumber: 7 }));
  table.updateInMemory(A, (now) => ({ ...now, restartCount: 3 }));
  await table.remove(B);
  const next = new ContainerTable(metadata);
  expect(next.find("web")).toMatchObject({ runNumber: 7, restartCount: 0 });
  expect(next.isNameTaken("a1")).toBe(false);
  expect(next.get(B)).toBeUndefined();
});

test("a commit that fails leaves what was", async () => {
  const { metadata, table } = await twoContainers();
  metadata.failNext(new Error("disk full"));
  const failed = table.update(A, (now) => ({ ...now, runNumber: 7 }));
  expect(table.must(A).runNumber).toBe(7); // seen at once
  expect(await failed.catch(String)).toContain("disk full");
  expect(table.must(A).runNumber).toBe(0);
});

test("a name has one owner", async () => {
  const { table } = await twoContainers();
  expect(() => table.reserveName("web", B)).toThrow(
    `Conflict. The container name "/web" is already in use by container "${A}".`,
  );
  table.releaseName("web", B); // not its own: nothing happens
  expect(table.isNameTaken("web")).toBe(true);
});
