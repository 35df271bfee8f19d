/** Docker's own Python library, as Debian packages it, asked for what people's scripts do with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { privileged } from "../harness/cli.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";

const TEST_TIMEOUT_MS = 30_000;
const PYTHON = "/usr/bin/python3";
const present = spawnSync(PYTHON, ["-c", "import docker"]).status === 0;
if (!present) console.error("SKIPPED docker-py: python3-docker is not installed");

let engine: TestEngine;

/** Runs a program with `c` as the client, and returns what it prints as JSON. */
async function python(program: string): Promise<unknown> {
  const text = `import docker, json, sys, time\nc = docker.from_env()\n${program}`;
  const child = Bun.spawn([PYTHON, "-c", text], {
    env: { ...process.env, DOCKER_HOST: engine.host },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`exit code ${code}\n${out}${err}`);
  return JSON.parse(out);
}

describe.skipIf(!privileged() || !present)("python3-docker", () => {
  beforeAll(async () => {
    engine = await startEngine();
  }, TEST_TIMEOUT_MS);
  afterAll(() => engine?.destroy(), TEST_TIMEOUT_MS);

  const its = (name: string, body: () => Promise<void>): void => test(name, body, TEST_TIMEOUT_MS);

  its("images: load, list, get, tag, remove", async () => {
    const { dockerArchive } = await busyboxFiles();
    const told = await python(`
loaded = c.images.load(open(${JSON.stringify(dockerArchive)}, "rb"))
image = c.images.get("busybox")
image.tag("other", tag="1")
tags = sorted(c.images.get("other:1").tags)
c.images.remove("other:1")
try:
    c.images.get("other:1")
    missing = False
except docker.errors.ImageNotFound:
    missing = True
print(json.dumps([[i.tags for i in loaded], tags, [i.tags for i in c.images.list()], missing]))`);
    expect(told).toEqual([
      [["busybox:latest"]],
      ["busybox:latest", "other:1"],
      [["busybox:latest"]],
      true,
    ]);
  });

  its("containers.run gives the output, and its error the exit code and stderr", async () => {
    const told = await python(`
out = c.containers.run("busybox", ["echo", "hi"], remove=True).decode()
both = c.containers.run("busybox", "sh -c 'echo a; echo b >&2'", stderr=True, remove=True).decode()
try:
    c.containers.run("busybox", "sh -c 'echo wrong >&2; exit 3'", remove=True)
    failed = None
except docker.errors.ContainerError as e:
    failed = [e.exit_status, e.stderr.decode()]
try:
    c.containers.run("nosuchimage")
    image = "ran"
except docker.errors.ImageNotFound as e:
    image = "no image"
except docker.errors.APIError as e:
    image = str(e)
print(json.dumps([out, sorted(both.split()), failed, image, len(c.containers.list(all=True))]))`);
    const [out, both, failed, image, left] = told as unknown[];
    expect([out, both, failed, left]).toEqual(["hi\n", ["a", "b"], [3, "wrong\n"], 0]);
    expect(image).toMatch(/no image|pulling images is not supported/);
  });

  its("exec_run, its demux and its stream; logs as a stream; stop, wait, remove", async () => {
    const told = await python(`
k = c.containers.run("busybox", "sh -c 'for i in 1 2 3; do echo $i; sleep 0.1; done; sleep 60'", detach=True, name="py")
for _ in range(25): # it takes the socket over, and loses what came together with the head
    r = k.exec_run("sh -c 'echo o; echo e >&2; exit 4'", demux=True)
    assert r.output == (b"o\\n", b"e\\n"), r
lines = []
for line in k.logs(stream=True, follow=True):
    lines.append(line.decode())
    if len(lines) == 3: break
stream = b"".join(k.exec_run("cat /etc/hostname", stream=True).output).decode().strip()
k.stop(timeout=0)
code = k.wait()["StatusCode"]
k.reload()
state = k.attrs["State"]["Status"]
k.remove()
try:
    c.containers.get("py")
    gone = False
except docker.errors.NotFound:
    gone = True
print(json.dumps([r.exit_code, [b.decode() for b in r.output], lines, k.short_id == stream[:len(k.short_id)], code, state, gone]))`);
    expect(told).toEqual([4, ["o\n", "e\n"], ["1\n", "2\n", "3\n"], true, 137, "exited", true]);
  });

  its("attach_socket takes input, events and the low-level client agree", async () => {
    const told = await python(`
since = int(time.time())
k = c.containers.create("busybox", "cat", stdin_open=True, labels={"py": "1"})
s = k.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
k.start()
s._sock.sendall(b"typed\\n")
header = s.read(8)
text = s.read(6).decode()
k.kill()
k.wait()
s.close()
k.remove()
events = [e["Action"] for e in c.events(since=since, until=int(time.time()) + 1, filters={"label": "py=1", "type": "container"}, decode=True)]
print(json.dumps([list(header), text, events, c.ping(), c.version()["ApiVersion"], c.info()["OSType"]]))`);
    expect(told).toEqual([
      [1, 0, 0, 0, 0, 0, 0, 6],
      "typed\n",
      ["create", "attach", "start", "kill", "die", "destroy"],
      true,
      expect.stringMatching(/^1\.\d+$/),
      "linux",
    ]);
  });
});
