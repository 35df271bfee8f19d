/**
 * cp, diff, export, commit and save: by the stock docker client and by naru's, on containers that
 * run, have stopped and never ran; with a hostile container, a large file, many small ones and an
 * engine that is killed.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { link, lstat, mkdir, mkdtemp, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli, cliOk, dockerProgram, privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TIMEOUT_MS = 120_000;
const MIB = 1024 * 1024;
const GROWTH_MAX_BYTES = 100 * MIB; // of the engine while 300 MB pass through it

let engine: TestEngine;
let folder: string;

type Client = "naru" | "docker";
const CLIENTS: readonly Client[] = dockerProgram() === undefined ? ["naru"] : ["naru", "docker"];

function run(program: Client, ...args: string[]): Promise<string> {
  return cliOk(engine, args, { program, limitMs: TIMEOUT_MS }); // 300 MB on a busy disk
}

let made = 0;

/** A container by name, in the state that is asked for. */
async function container(
  state: "created" | "running" | "exited",
  ...flags: string[]
): Promise<string> {
  made += 1;
  const name = `files-${made}`;
  const create = ["create", "--name", name, "--init=false", ...flags, "busybox"];
  await run("naru", ...create, ...(state === "exited" ? ["true"] : ["sleep", "1000"]));
  if (state !== "created") await run("naru", "start", name);
  if (state === "exited") await run("naru", "wait", name);
  return name;
}

function residentBytes(): number {
  const text = readFileSync(`/proc/${engine.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) * 1024;
}

function openDescriptors(): number {
  return readdirSync(`/proc/${engine.pid}/fd`).length;
}

describe.skipIf(!privileged())("files of containers", () => {
  beforeAll(async () => {
    engine = await startEngine();
    folder = await mkdtemp("/tmp/naru-files-");
    await run("naru", "load", "-i", (await busyboxFiles()).dockerArchive);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await engine?.destroy();
  }, TIMEOUT_MS);

  for (const client of CLIENTS) {
    describe(client, () => {
      for (const state of ["created", "running", "exited"] as const) copyTests(client, state);
      otherTests(client);
    });
  }
  hostileTests();
  attributeTests();
  sizeTests();
  crashTests();
});

function copyTests(client: Client, state: "created" | "running" | "exited"): void {
  test(
    `cp into and out of a container that is ${state}`,
    async () => {
      const name = await container(state, "-v", `vol-${client}-${state}:/data`);
      const here = await mkdtemp(join(folder, "cp-"));
      const source = join(here, "src");
      await mkdir(join(source, "sub"), { recursive: true });
      await writeFile(join(source, "file"), "one\n");
      await writeFile(join(source, "sub", "deep ü"), "two\n");
      symlinkSync("file", join(source, "link"));
      await link(join(source, "file"), join(source, "same"));
      chmodSync(join(source, "file"), 0o4751);
      chownSync(join(source, "sub", "deep ü"), 1234, 2345);

      // Into a folder that exists, under a new name, the content only; into a volume.
      await run(client, "cp", source, `${name}:/srv-new`);
      await run(client, "cp", source, `${name}:/tmp`);
      await run(client, "cp", `${source}/.`, `${name}:/data/`);
      await run(client, "cp", join(source, "file"), `${name}:/data/renamed`);
      for (const there of ["/srv-new", "/tmp/src", "/data"]) {
        const back = await mkdtemp(join(here, "back-"));
        await run(client, "cp", `${name}:${there}/.`, back);
        expect(readFileSync(join(back, "file"), "utf8")).toBe("one\n");
        expect(readFileSync(join(back, "sub", "deep ü"), "utf8")).toBe("two\n");
        expect(await readlink(join(back, "link"))).toBe("file");
        expect(statSync(join(back, "same")).ino).toBe(statSync(join(back, "file")).ino);
        expect((await lstat(join(back, "file"))).mode & 0o7777).toBe(0o4751);
      }
      await run(client, "cp", `${name}:/data/renamed`, join(here, "out"));
      expect(readFileSync(join(here, "out"), "utf8")).toBe("one\n");
      await run(client, "cp", "-L", `${name}:/tmp/src/link`, join(here, "followed"));
      expect((await lstat(join(here, "followed"))).isFile()).toBe(true);

      // The owner of the source is kept on the way in.
      const listed = await cli(engine, ["cp", `${name}:/tmp/src/sub`, "-"], { program: client });
      expect(listed.stdoutBytes.includes("0002322\0")).toBe(true); // 1234 in octal

      // Refused as Docker refuses.
      const missing = await cli(engine, ["cp", `${name}:/nothing`, here], { program: client });
      expect(missing.exitCode).not.toBe(0);
      expect(missing.stderr).toContain(`Could not find the file /nothing in container ${name}`);
      const over = await cli(engine, ["cp", source, `${name}:/etc/passwd`], { program: client });
      expect(over.stderr).toContain("cannot copy directory");
      const blocked = await cli(engine, ["cp", join(source, "file"), `${name}:/nowhere/x/`], {
        program: client,
      });
      expect(blocked.exitCode).not.toBe(0);

      // A tar through the pipes of the client.
      const tar = await cli(engine, ["cp", `${name}:/tmp/src`, "-"], { program: client });
      await cliOk(engine, ["cp", "-", `${name}:/var`], {
        program: client,
        stdin: tar.stdoutBytes,
      });
      await run(client, "cp", `${name}:/var/src/file`, join(here, "piped"));
      expect(readFileSync(join(here, "piped"), "utf8")).toBe("one\n");
    },
    TIMEOUT_MS,
  );
}

function otherTests(client: Client): void {
  test(
    "diff, commit, export and save show what was written",
    async () => {
      const name = await container("running");
      const script =
        "echo x >/root/new; rm /etc/group; echo y >>/etc/passwd; rm -r /var/log; mkdir /var/log";
      await run("naru", "exec", name, "sh", "-c", script);
      const diff = (await run(client, "diff", name)).split("\n");
      expect(diff).toContain("A /root/new");
      expect(diff).toContain("D /etc/group");
      expect(diff).toContain("C /etc/passwd");
      expect(diff.some((line) => /hosts|resolv|\/dev|\/proc/.test(line))).toBe(false);

      const tag = `committed-${client}:1`;
      const flags = [
        "-a",
        "me",
        "-m",
        "why",
        "-c",
        'CMD ["cat", "/root/new"]',
        "-c",
        'ENV A="b c"',
      ];
      const id = await run(client, "commit", ...flags, name, tag);
      expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(await run("naru", "run", "--rm", tag)).toBe("x");
      const look = [
        "run",
        "--rm",
        tag,
        "sh",
        "-c",
        "echo $A; ls /etc/group /var; tail -1 /etc/passwd",
      ];
      const seen = await cli(engine, look);
      expect(seen.stdout).toContain("b c\n");
      expect(seen.stdout).toContain("log");
      expect(seen.stdout).toEndWith("y\n");
      expect(seen.stderr).toContain("/etc/group: No such file");
      expect(
        await run(client, "history", "--no-trunc", "--format", "{{.Comment}}", tag),
      ).toStartWith("why");
      expect(await run("naru", "inspect", "--format", "{{.State.Paused}}", name)).toBe("false");

      const exported = join(folder, `${name}.tar`);
      await run(client, "export", "-o", exported, name);
      const names = await list(exported);
      expect(names).toContain("root/new");
      expect(names).toContain("bin/busybox");
      expect(names).not.toContain("etc/group");
      expect(names.some((one) => /^proc\/./.test(one))).toBe(false);

      const saved = join(folder, `${name}-saved.tar`);
      await run(client, "save", "-o", saved, tag, "busybox");
      const before = await run("naru", "inspect", "--format", "{{.Id}}", tag);
      expect(await list(saved)).toContain("manifest.json");
      await run("naru", "rmi", tag);
      expect(await run(client, "load", "-i", saved)).toContain(`Loaded image: ${tag}`);
      expect(await run("naru", "inspect", "--format", "{{.Id}}", tag)).toBe(before);
      if (Bun.which("skopeo") !== null) {
        const inspect = Bun.spawnSync(["skopeo", "inspect", `docker-archive:${saved}:${tag}`]);
        expect(inspect.exitCode).toBe(0);
      }
      await run("naru", "rm", "-f", name);
      await run("naru", "rmi", tag);
    },
    TIMEOUT_MS,
  );
}

async function list(path: string): Promise<string[]> {
  const child = Bun.spawn(["tar", "tf", path], { stdout: "pipe" });
  return (await new Response(child.stdout).text())
    .split("\n")
    .map((name) => name.replace(/\/$/, ""));
}

function hostileTests(): void {
  test(
    "a container that swaps a folder and a link reaches nothing outside",
    async () => {
      const bait = await mkdtemp(join(folder, "bait-"));
      const plant = await mkdtemp(join(folder, "plant-"));
      await writeFile(join(bait, "secret"), "only on the host");
      await writeFile(join(plant, "secret"), "planted");
      const name = await container("running");
      // Absolute and climbing links to a path of the host, exchanged with a real folder all the time.
      const swap = `mkdir -p /w/real ${bait}; echo inside >/w/real/secret; while true; do rm -rf /w/t; ln -s ${bait} /w/t; rm -rf /w/t; ln -s ../../../../../..${bait} /w/t; rm -rf /w/t; mkdir /w/t; done`;
      await run("naru", "exec", "-d", name, "sh", "-c", swap);
      await Bun.sleep(200);
      const tar = Bun.spawnSync(["tar", "-C", plant, "-cf", "-", "secret"]).stdout;
      const before = openDescriptors();
      for (let round = 0; round < 40; round += 1) {
        const put = await engine.fetch(`/containers/${name}/archive?path=/w/t`, {
          method: "PUT",
          body: renamed(tar, "planted"),
        });
        expect([200, 400, 404]).toContain(put.status);
        await put.arrayBuffer();
        const got = await engine.fetch(`/containers/${name}/archive?path=/w`);
        const archive = await got.text().catch((error: unknown) => {
          throw new Error(`the archive was cut off:\n${engine.logTail()}`, { cause: error });
        });
        expect(archive.includes("only on the host")).toBe(false);
      }
      expect(readdirSync(bait)).toEqual(["secret"]);
      expect(readFileSync(join(bait, "secret"), "utf8")).toBe("only on the host");
      await Bun.sleep(200);
      expect(openDescriptors()).toBeLessThan(before + 10);
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );

  test("an archive with names that climb out is refused", async () => {
    const name = await container("created");
    const tar = renamed(
      Bun.spawnSync(["tar", "-C", "/etc", "-cf", "-", "hostname"]).stdout,
      "../../x",
    );
    const put = await engine.fetch(`/containers/${name}/archive?path=/srv-none/..`, {
      method: "PUT",
      body: tar,
    });
    expect([400, 404]).toContain(put.status);
    const root = await engine.fetch(`/containers/${name}/archive?path=/tmp`, {
      method: "PUT",
      body: tar,
    });
    expect(root.status).toBe(400);
    expect(await root.text()).toContain("leaves");
    await run("naru", "rm", name);
  });
}

/** The first entry of a small archive under another name. */
function renamed(tar: Uint8Array, name: string): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(tar);
  copy.fill(0, 0, 100);
  copy.set(Buffer.from(name), 0);
  copy.fill(0x20, 148, 156);
  const sum = copy.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  copy.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return copy;
}

function sizeTests(): void {
  test(
    "300 MB in and out, and 10,000 files, with the engine's memory level",
    async () => {
      const name = await container("created");
      const big = join(folder, "big");
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${big}`, "bs=1M", "count=300", "status=none"]);
      await run("naru", "cp", "/etc/hostname", `${name}:/tmp/`); // threads and buffers are there now
      const beforeBytes = residentBytes();
      let mostBytes = 0;
      const watch = setInterval(() => {
        mostBytes = Math.max(mostBytes, residentBytes());
      }, 20);
      try {
        await run("naru", "cp", big, `${name}:/tmp/big`);
        await run("naru", "cp", `${name}:/tmp/big`, join(folder, "back"));
      } finally {
        clearInterval(watch);
      }
      expect(statSync(join(folder, "back")).size).toBe(300 * MIB);
      expect(mostBytes - beforeBytes).toBeLessThan(GROWTH_MAX_BYTES);
      const many = join(folder, "many");
      await mkdir(many);
      for (let index = 0; index < 10_000; index += 1) {
        await writeFile(join(many, `f${index}`), String(index));
      }
      await run("naru", "cp", many, `${name}:/tmp/`);
      const tar = await cli(engine, ["cp", `${name}:/tmp/many`, "-"]);
      expect(tar.stdoutBytes.length).toBeGreaterThan(10_000 * 1024);
      await run("naru", "cp", `${name}:/tmp/many`, join(folder, "many-back"));
      expect(readdirSync(join(folder, "many-back")).length).toBe(10_000);
      expect(readFileSync(join(folder, "many-back", "f9999"), "utf8")).toBe("9999");
      await run("naru", "rm", name);
    },
    TIMEOUT_MS,
  );

  test(
    "a client that goes away ends the work, and the container can be started",
    async () => {
      const name = await container("created");
      await run("naru", "cp", join(folder, "big"), `${name}:/tmp/big`);
      const descriptors = openDescriptors();
      for (let round = 0; round < 5; round += 1) {
        const aborter = new AbortController();
        const got = await engine.fetch(`/containers/${name}/archive?path=/tmp`, {
          signal: aborter.signal,
        });
        await got.body?.getReader().read();
        aborter.abort();
      }
      await run("naru", "start", name);
      await Bun.sleep(300);
      expect(openDescriptors()).toBeLessThan(descriptors + 20);
      expect(readFileSync(`/proc/${engine.pid}/mounts`, "utf8")).not.toContain(
        `${engine.execRoot}/view`,
      );
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );
}

function attributeTests(): void {
  test(
    "holes and owners survive; -a gives everything to the container's user",
    async () => {
      const here = await mkdtemp(join(folder, "sparse-"));
      Bun.spawnSync(["truncate", "-s", "200M", join(here, "holes")]);
      await writeFile(join(here, "owned"), "x");
      chownSync(join(here, "owned"), 1234, 2345);
      const name = await container("created", "--user", "7:8");
      const tar = Bun.spawnSync(["tar", "-C", here, "-cSf", "-", "holes"]).stdout;
      await cliOk(engine, ["cp", "-", `${name}:/tmp`], { stdin: tar });
      await run("naru", "cp", join(here, "owned"), `${name}:/tmp/`);
      await run("naru", "cp", "-a", join(here, "owned"), `${name}:/tmp/mine`);
      await run("naru", "start", name);
      const script = "stat -c '%s %b' /tmp/holes; stat -c '%u:%g' /tmp/owned /tmp/mine";
      const lines = (await run("naru", "exec", name, "sh", "-c", script)).split("\n");
      const [size, blocks] = (lines[0] ?? "").split(" ").map(Number);
      expect(size).toBe(200 * MIB);
      expect(blocks).toBeLessThan(2048); // less than a megabyte is on the disk
      expect(lines.slice(1)).toEqual(["1234:2345", "7:8"]);
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );

  test(
    "what cannot be written is refused and says so",
    async () => {
      const name = await container("created", "--read-only", "-v", `${folder}:/ro:ro`);
      for (const state of ["created", "running"]) {
        if (state === "running") await run("naru", "start", name);
        const root = await cli(engine, ["cp", "/etc/hostname", `${name}:/tmp/`]);
        expect(root.stderr).toContain("container rootfs is marked read-only");
        const volume = await cli(engine, ["cp", "/etc/hostname", `${name}:/ro/`]);
        expect(volume.stderr).toContain("mounted volume is marked read-only");
      }
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );

  test(
    "images and parts of volumes that a stopped container mounts are seen",
    async () => {
      const filler = await container("running", "-v", "parts:/v");
      await run(
        "naru",
        "exec",
        filler,
        "sh",
        "-c",
        "mkdir -p /v/a/b; echo part >/v/a/b/file; echo y >/y",
      );
      await run("naru", "commit", filler, "stacked:1");
      const name = await container(
        "created",
        ...["--mount", "type=image,source=stacked:1,target=/img"],
        ...["--mount", "type=volume,source=parts,target=/part,volume-subpath=a/b"],
      );
      await run("naru", "cp", `${name}:/img/y`, join(folder, "y"));
      await run("naru", "cp", `${name}:/part/file`, join(folder, "part"));
      expect(readFileSync(join(folder, "part"), "utf8")).toBe("part\n");
      expect(readFileSync(join(folder, "y"), "utf8")).toBe("y\n");
      const refused = await cli(engine, ["cp", join(folder, "y"), `${name}:/img/`]);
      expect(refused.stderr).toContain("mounted volume is marked read-only");
      await run("naru", "rm", "-f", name, filler);
      await run("naru", "rmi", "stacked:1");
    },
    TIMEOUT_MS,
  );

  test(
    "the tmpfs of a running container is seen, and what the kernel makes up is not copied",
    async () => {
      const name = await container("running", "--tmpfs", "/scratch");
      await run("naru", "exec", name, "sh", "-c", "echo here >/scratch/file");
      await run("naru", "cp", `${name}:/scratch/file`, join(folder, "scratch"));
      expect(readFileSync(join(folder, "scratch"), "utf8")).toBe("here\n");
      const tar = await cli(engine, ["cp", `${name}:/`, "-"]);
      expect(tar.stdoutBytes.includes("/scratch/file")).toBe(true);
      expect(tar.stdoutBytes.includes("/proc/1")).toBe(false);
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );
}

function crashTests(): void {
  test(
    "an engine killed in a commit leaves a container that runs, and no image",
    async () => {
      const name = await container("running");
      await run("naru", "cp", join(folder, "big"), `${name}:/root/big`);
      const images = await run("naru", "images", "-aq");
      const cut = engine.fetch(`/commit?container=${name}&repo=cut`, { method: "POST" }).then(
        (answer) => answer.status,
        () => "cut off",
      );
      const deadlineMs = Date.now() + 20_000;
      while ((await run("naru", "inspect", "--format", "{{.State.Paused}}", name)) !== "true") {
        if (Date.now() > deadlineMs) throw new Error("the commit never froze the container");
      }
      await engine.kill9();
      expect(await cut).toBe("cut off");
      await engine.start();
      expect(await run("naru", "images", "-aq")).toBe(images);
      expect(await run("naru", "inspect", "--format", "{{.State.Status}}", name)).toBe("running");
      expect(await run("naru", "exec", name, "echo", "thawed")).toBe("thawed");
      await run("naru", "rm", "-f", name);
    },
    TIMEOUT_MS,
  );
}
