import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TarFileInput, writeTar } from "../../oci/mod.ts";
import { extractLocally } from "./local-extract.ts";
import { archiveOf, localSource, localTarget } from "./local-source.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp("/tmp/naru-copy-");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function extract(files: readonly TarFileInput[], target: string): Promise<void> {
  return extractLocally(writeTar(files), { folder: target, rename: undefined }, () => undefined);
}

function file(name: string, text = "x"): TarFileInput {
  return { entry: { name, sizeBytes: text.length }, content: [Buffer.from(text)] };
}

describe("copies on this machine", () => {
  test("what is archived comes out the same", async () => {
    const source = join(folder, "source");
    await mkdir(join(source, "sub"), { recursive: true });
    await writeFile(join(source, "sub", "ü"), "text", { mode: 0o640 });
    symlinkSync("sub/ü", join(source, "link"));
    const found = await localSource("source", { followLink: false, folder });
    const target = join(folder, "out");
    await mkdir(target);
    const plan = { folder: target, rename: { from: "source", to: "renamed" } };
    await extractLocally(archiveOf(found, plan), { folder: target, rename: undefined }, () => {});
    const out = join(target, "renamed");
    expect((await readdir(out)).sort()).toEqual(["link", "sub"]);
    expect(readFileSync(join(out, "sub", "ü"), "utf8")).toBe("text");
    expect((await lstat(join(out, "sub", "ü"))).mode & 0o7777).toBe(0o640);
    expect(await readlink(join(out, "link"))).toBe("sub/ü");
  });

  test("names that climb out or go through the archive's own links are refused", async () => {
    const target = await mkdtemp(join(folder, "hostile-"));
    const outside = join(folder, "outside");
    await mkdir(outside);
    expect(extract([file("../outside/x")], target)).rejects.toThrow("leaves the folder");
    const link: TarFileInput = { entry: { name: "l", type: "symlink", linkName: outside } };
    expect(extract([link, file("l/x")], target)).rejects.toThrow("through a link");
    expect(await readdir(outside)).toEqual([]);
  });

  test("a folder and a file never give way to each other", async () => {
    const target = await mkdtemp(join(folder, "kinds-"));
    await mkdir(join(target, "d"));
    await writeFile(join(target, "f"), "");
    expect(extract([file("d")], target)).rejects.toThrow("cannot overwrite directory");
    const directory: TarFileInput = { entry: { name: "f/", type: "directory" } };
    expect(extract([directory], target)).rejects.toThrow("cannot overwrite non-directory");
  });

  test("a target in a folder that does not exist is refused", async () => {
    expect(localTarget("no/such", folder)).rejects.toThrow("does not exist");
    expect(await localTarget("new", folder)).toMatchObject({ exists: false });
    expect(localSource("none", { followLink: false, folder })).rejects.toThrow("no such file");
  });
});
