/** What `--mount` can ask for beside a source and a target, seen from inside. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { connect, execIn, idle, loadBusybox, refused, run } from "./dockerode-client.ts";

const TEST_TIMEOUT_MS = 20_000;

type Fields = Readonly<Record<string, unknown>>;

let engine: TestEngine;
let docker: Dockerode;
let folder: string;

function its(name: string, body: () => Promise<void>): void {
  test(name, body, TEST_TIMEOUT_MS);
}

function with_(mount: Fields, more: Fields = {}): Dockerode.ContainerCreateOptions {
  return { HostConfig: { Mounts: [mount], ...more } as unknown as Dockerode.HostConfig };
}

for (const runtime of ["crun", "runc"]) {
  describe.skipIf(!privileged())(`mounts on ${runtime}`, () => {
    beforeAll(async () => {
      engine = await startEngine({ args: ["--default-runtime", runtime] });
      docker = connect(engine.socket);
      folder = await mkdtemp("/tmp/naru-mounts-");
      mkdirSync(join(folder, "beneath"));
      execFileSync("mount", ["-t", "tmpfs", "naru-test", join(folder, "beneath")]);
      await loadBusybox(docker);
    }, TEST_TIMEOUT_MS);
    afterAll(async () => {
      execFileSync("umount", [join(folder, "beneath")]);
      rmSync(folder, { recursive: true, force: true });
      await engine?.destroy();
    }, TEST_TIMEOUT_MS);
    afterEach(() => engine.removeContainers(), TEST_TIMEOUT_MS);

    its("a read-only bind is so for what is mounted beneath it, unless told otherwise", readOnly);
    its("a bind without recursion, and one whose source is made", otherBinds);
    its("an id-mapped bind shows its owner as the container's user", idMapped);
    its("an image's files, or some of them, read-only", images);
    its("a part of a volume, which no link leads out of", subpaths);
    its("a part of a volume that is exchanged for a link all the while", races);
    its("an empty volume stays empty with NoCopy", volumes);
  });
}

async function readOnly(): Promise<void> {
  const bind = { Type: "bind", Source: folder, Target: "/m", ReadOnly: true };
  const write =
    "touch /m/x 2>/dev/null || echo top; touch /m/beneath/x 2>/dev/null || echo beneath";
  expect((await run(docker, write, with_(bind))).stdout).toBe("top\nbeneath\n");
  const host = { Binds: [`${folder}:/m:ro`] };
  expect((await run(docker, write, { HostConfig: host })).stdout).toBe("top\nbeneath\n");
  const forced = { ...bind, BindOptions: { ReadOnlyForceRecursive: true } };
  expect((await run(docker, write, with_(forced))).stdout).toBe("top\nbeneath\n");
  const top = { ...bind, BindOptions: { ReadOnlyNonRecursive: true } };
  expect((await run(docker, write, with_(top))).stdout).toBe("top\n");
  const both = { ReadOnlyForceRecursive: true, ReadOnlyNonRecursive: true };
  const { status } = await refused(run(docker, "true", with_({ ...bind, BindOptions: both })));
  expect(status).toBe(400);
}

async function otherBinds(): Promise<void> {
  writeFileSync(join(folder, "beneath", "inner"), "");
  const bind = { Type: "bind", Source: folder, Target: "/m" };
  expect((await run(docker, "ls /m/beneath", with_(bind))).stdout).toContain("inner\n");
  const flat = { ...bind, BindOptions: { NonRecursive: true } };
  expect((await run(docker, "ls /m/beneath", with_(flat))).stdout).toBe("");
  const made = { Type: "bind", Source: join(folder, "made"), Target: "/m" };
  expect((await refused(run(docker, "true", with_(made)))).text).toContain("does not exist");
  const create = { ...made, BindOptions: { CreateMountpoint: true } };
  expect((await run(docker, "ls -d /m", with_(create))).stdout).toBe("/m\n");
  expect(existsSync(join(folder, "made"))).toBe(true);
  rmSync(join(folder, "made"), { recursive: true });
  const kinds = { rprivate: "", rslave: "master:", rshared: "shared:" };
  for (const [Propagation, tag] of Object.entries(kinds)) {
    const one = { ...bind, Source: join(folder, "beneath"), BindOptions: { Propagation } };
    const script = "grep ' /m ' /proc/self/mountinfo";
    execFileSync("mount", ["--make-shared", join(folder, "beneath")]);
    const { stdout } = await run(docker, script, with_(one));
    if (tag === "") expect(stdout).not.toMatch(/shared:|master:/);
    else expect(stdout).toContain(tag);
  }
}

async function idMapped(): Promise<void> {
  const source = join(folder, "owned");
  mkdirSync(source, { recursive: true });
  writeFileSync(join(source, "mine"), "");
  writeFileSync(join(source, "theirs"), "");
  for (const name of ["", "mine"]) chownSync(join(source, name), 1234, 2345);
  chownSync(join(source, "theirs"), 55, 55);
  const bind = (IDMapping: Fields): Fields => ({
    ...{ Type: "bind", Source: source, Target: "/m", BindOptions: { IDMapping } },
  });
  const script = "stat -c '%n %u:%g' /m /m/mine /m/theirs; touch /m/made";
  const asked = { ...with_(bind({ Source: "match-user" })), User: "7:8" };
  expect((await run(docker, script, asked)).stdout).toBe("/m 7:8\n/m/mine 7:8\n/m/theirs 55:55\n");
  const made = statSync(join(source, "made"));
  expect([made.uid, made.gid]).toEqual([1234, 2345]);
  const other = with_(bind({ Source: "match-user", User: "55" }));
  const swapped = (await run(docker, "stat -c %u /m/mine /m/theirs", other)).stdout;
  expect(swapped).toBe("55\n1234\n");
  const userns = await refused(run(docker, "true", with_(bind({ Source: "userns" }))));
  expect(userns).toMatchObject({ status: 501, text: expect.stringContaining("IDMapping") });
  expect((await refused(run(docker, "true", with_(bind({ Source: "magic" }))))).status).toBe(400);
}

async function images(): Promise<void> {
  const mount = { Type: "image", Source: "busybox", Target: "/i" };
  const script = "ls /i/bin/busybox; touch /i/x 2>/dev/null || echo read-only";
  expect((await run(docker, script, with_(mount))).stdout).toBe("/i/bin/busybox\nread-only\n");
  const part = { ...mount, ImageOptions: { Subpath: "bin" } };
  expect((await run(docker, "ls /i/busybox", with_(part))).stdout).toBe("/i/busybox\n");
  const out = { ...mount, ImageOptions: { Subpath: "../etc" } };
  expect((await refused(run(docker, "true", with_(out)))).status).toBe(400);
  const missing = await refused(run(docker, "true", with_({ ...mount, Source: "nothere" })));
  expect(missing).toMatchObject({ status: 400, text: expect.stringContaining("nothere") });
  const container = await idle(docker, with_(mount));
  await container.restart({ t: 0 });
  await engine.kill9();
  await engine.start();
  expect((await execIn(docker, container, "ls /i/bin/busybox")).exitCode).toBe(0);
}

async function subpaths(): Promise<void> {
  const volume = { Type: "volume", Source: "parts", Target: "/v" };
  await run(docker, "mkdir -p /v/a/b; echo deep > /v/a/b/file", with_(volume));
  const part = (Subpath: string): Fields => ({ ...volume, VolumeOptions: { Subpath } });
  expect((await run(docker, "cat /v/file", with_(part("a/b")))).stdout).toBe("deep\n");
  expect((await run(docker, "cat /v", with_(part("a/b/file")))).stdout).toBe("deep\n");
  symlinkSync("/etc", join(engine.dataRoot, "volumes/parts/_data/out"));
  symlinkSync("../../..", join(engine.dataRoot, "volumes/parts/_data/up"));
  for (const path of ["out", "up", "missing"]) {
    const { status, text } = await refused(run(docker, "true", with_(part(path))));
    expect({ path, status }).toEqual({ path, status: 400 });
    expect(text).toContain(`"${path}"`);
  }
  expect((await refused(run(docker, "true", with_(part("../x"))))).status).toBe(400);
}

/** Another container moves a link to the host's root over the directory and back, without a pause. */
async function races(): Promise<void> {
  const volume = { Type: "volume", Source: "raced", Target: "/v" };
  const make =
    "mkdir -p /v/dir/etc; echo ours > /v/dir/etc/passwd; ln -s / /v/link; mv /v/dir /v/x";
  await run(docker, make, with_(volume));
  const swap =
    "while :; do mv /v/x /v/dir; mv -T /v/link /v/x; mv -T /v/x /v/link; mv /v/dir /v/x; done";
  const mover = await docker.createContainer({
    ...{ Image: "busybox", Cmd: ["sh", "-c", swap], ...with_(volume) },
  });
  await mover.start();
  const seen = new Set<string>();
  try {
    for (let round = 0; round < 12; round += 1) {
      const Subpath = round % 2 === 0 ? "x" : "x/etc";
      const script = `cat /v${round % 2 === 0 ? "/etc" : ""}/passwd`;
      const part = with_({ ...volume, VolumeOptions: { Subpath } });
      seen.add(
        await run(docker, script, part).then(
          ({ stdout }) => stdout,
          (error: unknown) => String((error as { statusCode?: number }).statusCode),
        ),
      );
    }
  } finally {
    await mover.remove({ force: true });
  }
  // The directory of the moment, or that it is not there: never the host's file.
  expect([...seen].filter((text) => !["ours\n", "400"].includes(text))).toEqual([]);
}

async function volumes(): Promise<void> {
  const empty = { Type: "volume", Source: "blank", Target: "/bin/../etc" };
  const VolumeOptions = { NoCopy: true, Labels: { of: "tests" } }; // labels: mounts-plan.test.ts
  const script = "ls /etc | grep -v -e hosts -e hostname -e resolv.conf; true";
  const seen = await run(docker, script, with_({ ...empty, VolumeOptions }));
  expect(seen.stdout).toBe("");
}
