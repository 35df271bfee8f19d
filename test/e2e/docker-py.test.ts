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
    // Without a network the registry cannot be asked; with one there is no such image.
    expect(image).toMatch(/no image|registry-1\.docker\.io|denied/);
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

  its(
    "containers: list with filters, rename, pause, restart, update, top, stats, diff, prune",
    async () => {
      const told = await python(`
k = c.containers.run("busybox", "sleep 600", detach=True, name="one", labels={"a": "b"}, mem_limit="64m", stop_signal="SIGKILL")
dead = c.containers.create("busybox", "true", name="two")
dead.start(); dead.wait()
listed = [[x.name for x in c.containers.list(all=True, filters=f)] for f in ({"label": "a=b"}, {"status": "exited"}, {"name": "tw"}, {"exited": 0})]
k.rename("renamed"); k.reload()
k.pause(); k.reload(); paused = k.status; k.unpause()
k.restart(timeout=0); k.reload()
k.update(mem_limit="32m", memswap_limit="64m"); k.reload()
limits = [k.attrs["HostConfig"]["Memory"], k.attrs["HostConfig"]["MemorySwap"]]
top = k.top()["Processes"][0][-1]
stats = k.stats(stream=False)
streamed = next(k.stats(stream=True, decode=True))["memory_stats"]["limit"]
k.exec_run("touch /made")
changes = [d for d in k.diff() if d["Path"] == "/made"]
pruned = len(c.containers.prune()["ContainersDeleted"])
status = [k.name, paused, k.status]
k.remove(force=True)
print(json.dumps([listed, status, limits, top, stats["name"], streamed, changes, pruned]))`);
      expect(told).toEqual([
        [["one"], ["two"], ["two"], ["two"]],
        ["renamed", "paused", "running"],
        [32 * 1024 * 1024, 64 * 1024 * 1024],
        "sleep 600",
        "/renamed",
        32 * 1024 * 1024,
        [{ Path: "/made", Kind: 1 }],
        1,
      ]);
    },
  );

  its(
    "files: put_archive, get_archive, export, commit; images: history, save, import, prune",
    async () => {
      const told = await python(`
import io, tarfile
k = c.containers.create("busybox", "cat /tmp/in", name="files")
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as tar:
    entry = tarfile.TarInfo("in"); entry.size = 6
    tar.addfile(entry, io.BytesIO(b"inside"))
put = k.put_archive("/tmp", buffer.getvalue())
bits, stat = k.get_archive("/tmp/in")
back = tarfile.open(fileobj=io.BytesIO(b"".join(bits))).extractfile("in").read().decode()
exported = "tmp/in" in tarfile.open(fileobj=io.BytesIO(b"".join(k.export()))).getnames()
made = k.commit("made", "1", message="what", author="me", changes="ENV X=y")
env = "X=y" in made.attrs["Config"]["Env"]
out = c.containers.run("made:1", "cat /tmp/in", remove=True).decode()
history = made.history()[0]["Comment"]
saved = b"".join(made.save(named=True))
k.remove(); c.images.remove("made:1")
again = c.images.load(saved)[0].tags
imported = c.api.import_image_from_data(buffer.getvalue(), repository="imported", tag="1")
names = sorted(t for i in c.images.list() for t in i.tags)
c.images.remove("made:1"); c.images.remove("imported:1")
freed = c.images.prune(filters={"dangling": True})["SpaceReclaimed"]
df = len(c.df()) > 0
print(json.dumps([put, stat["size"], back, exported, env, out, history, again, names, freed, df]))`);
      expect(told).toEqual([
        ...[true, 6, "inside", true, true, "inside", "what", ["made:1"]],
        ...[["busybox:latest", "imported:1", "made:1"], 0, true],
      ]);
    },
  );

  its("volumes and mounts: create, list, get, prune; binds, tmpfs, volumes_from", async () => {
    const told = await python(`
from docker.types import Mount, Ulimit
v = c.volumes.create("pyvol", labels={"k": "v"}, driver_opts={"type": "tmpfs", "device": "tmpfs"})
same = c.volumes.get("pyvol") == v
filtered = [x.name for x in c.volumes.list(filters={"label": "k=v"})]
c.volumes.create("data")
c.containers.run("busybox", "sh -c 'echo kept > /d/file'", volumes={"data": {"bind": "/d", "mode": "rw"}}, remove=True)
out = c.containers.run("busybox", "cat /d/file", mounts=[Mount("/d", "data", type="volume", read_only=True)], remove=True).decode()
tmp = c.containers.run("busybox", "stat -f -c %T /t", tmpfs={"/t": "size=1m"}, remove=True).decode().strip()
limit = c.containers.run("busybox", "sh -c 'ulimit -n'", ulimits=[Ulimit(name="nofile", soft=77, hard=99)], remove=True).decode().strip()
k = c.containers.create("busybox", "true", volumes={"data": {"bind": "/d"}})
seen = c.containers.run("busybox", "cat /d/file", volumes_from=[k.id], remove=True).decode()
try:
    c.volumes.get("data").remove()
    used = "removed"
except docker.errors.APIError as e:
    used = e.response.status_code
k.remove(v=True)
c.volumes.get("data").remove(); v.remove()
pruned = c.volumes.prune()["SpaceReclaimed"]
try:
    c.volumes.get("data")
    gone = False
except docker.errors.NotFound:
    gone = True
print(json.dumps([same, filtered, out, tmp, limit, seen, used, pruned, gone, c.volumes.list()]))`);
    expect(told).toEqual([
      ...[true, ["pyvol"], "kept\n", "tmpfs", "77", "kept\n", 409, 0, true, []],
    ]);
  });

  its("networks: create, connect by alias, disconnect, prune; names and ports", async () => {
    const told = await python(`
n = c.networks.create("pynet", driver="bridge", labels={"n": "1"})
k = c.containers.run("busybox", "sleep 60", detach=True, name="server", network="pynet", ports={"80/tcp": ("127.0.0.1", None)})
k.reload()
published = k.ports["80/tcp"][0]["HostIp"]
found = c.containers.run("busybox", "nslookup server", network="pynet", remove=True).decode()
other = c.networks.create("pynet2")
other.connect(k, aliases=["also"])
k.reload()
places = sorted(k.attrs["NetworkSettings"]["Networks"])
other.reload()
members = [m.name for m in other.containers]
other.disconnect(k)
names = sorted(x.name for x in c.networks.list(names=["pynet", "pynet2"]))
k.remove(force=True)
gone = sorted(c.networks.prune()["NetworksDeleted"])
print(json.dumps([published, "server" in found, places, members, names, gone]))`);
    expect(told).toEqual([
      ...["127.0.0.1", true, ["pynet", "pynet2"], ["server"], ["pynet", "pynet2"]],
      ...[["pynet", "pynet2"]],
    ]);
  });

  its(
    "exec with user, environment, directory and input; logs by tail and time; health",
    async () => {
      const told = await python(`
k = c.containers.run("busybox", "sh -c 'echo 1; echo 2; echo 3 >&2; sleep 60'", detach=True, healthcheck={"test": ["CMD", "true"], "interval": 200_000_000, "retries": 1})
r = k.exec_run("sh -c 'id -u; pwd; echo $A'", user="7", workdir="/tmp", environment={"A": "b"})
e = c.api.exec_create(k.id, "cat", stdin=True)
s = c.api.exec_start(e["Id"], socket=True)
s._sock.sendall(b"in\\n")
head = s.read(8); text = s.read(3).decode(); s.close()
for _ in range(100):
    k.reload()
    if k.attrs["State"]["Health"]["Status"] == "healthy": break
    time.sleep(0.05)
tail = k.logs(tail=1, stdout=True, stderr=False).decode()
err = k.logs(stdout=False, stderr=True).decode()
stamped = k.logs(timestamps=True, tail=1, stderr=False).decode()[:4].isdigit()
later = k.logs(since=int(time.time()) + 1000).decode()
health = k.attrs["State"]["Health"]["Status"]
k.remove(force=True)
print(json.dumps([r.exit_code, r.output.decode(), head[0], text, health, tail, err, stamped, later]))`);
      expect(told).toEqual([0, "7\n/tmp\nb\n", 1, "in\n", "healthy", "2\n", "3\n", true, ""]);
    },
  );
});
