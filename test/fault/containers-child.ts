import { writeSync } from "node:fs";
import { createBody, emptyHostConfig, execBody, networkBody } from "../fakes/bodies.ts";
import { Collector, startEngine } from "../integration/containers-fixture.ts";

/*
 * An engine that does one thing after the other and says what was answered, until the environment's
 * crash point kills it. Arguments: the roots' directory and short id.
 */

const [, , dir = "", shortId = ""] = process.argv;
const engine = await startEngine({ dir, shortId }, { image: { Volumes: { "/data": {} } } });
const { service } = engine;
const options = { detach: false, tty: undefined, consoleSize: undefined };

function answered(what: string): void {
  writeSync(1, `${what}\n`);
}

const PORTS = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] };
const body = (command: string, PortBindings: typeof PORTS | null = null) =>
  createBody({ Cmd: ["sh", "-c", command] }, { NetworkMode: "default", PortBindings });

const steady = await service.create(body("trap 'exit 9' TERM; while :; do sleep 0.1; done"), {
  name: "steady",
  platform: "",
});
await service.start(steady.id);
const { State } = await service.inspect(steady.id, { size: false });
answered(`steady ${steady.id} ${State.Pid}`);

const victim = await service.create(
  body("trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done", PORTS),
  {
    name: "victim",
    platform: "",
  },
);
answered(`created ${victim.id}`);
await service.start(victim.id);
answered("started");
const execId = await service.execCreate(victim.id, execBody({ Cmd: ["echo", "hi"] }));
const client = new Collector();
const session = await service.execStart(execId, options, client);
await session.done;
answered(`execed ${execId}`);
const limits = { ...emptyHostConfig(), PidsLimit: 77, Memory: 64 * 1024 * 1024 };
await service.update(victim.id, limits);
answered("updated");
const more = { "81/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] };
await service.updatePorts(victim.id, { Add: more, Remove: null });
answered("published");
await service.rename(victim.id, "renamed");
answered("renamed");
await service.rename(victim.id, "victim");
answered("renamed-back");
const shared = await engine.network.create(networkBody("shared"));
await service.connectNetwork(victim.id, shared.id, null);
answered("connected");
await service.disconnectNetwork(victim.id, shared.id);
answered("disconnected");
await service.stop(victim.id, { signal: "", timeoutSeconds: 10 });
answered("stopped");
await service.remove(victim.id, { force: false, volumes: true });
answered("removed");
answered("end");
process.kill(process.pid, "SIGKILL");
