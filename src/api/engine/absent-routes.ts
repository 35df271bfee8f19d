import { NaruError } from "../../base/mod.ts";
import { type EngineRoute, plain } from "./handler.ts";

/** Operations of the contract that naru does not have yet: what a person would call them. */
const ABSENT: Readonly<Record<string, string>> = {
  "POST /build": "building images",
  "POST /build/prune": "pruning the build cache",
  "POST /build/cancel": "building images",
  "POST /session": "building images",
  "POST /grpc": "building images",
  "GET /plugins": "plugins",
  "GET /plugins/privileges": "plugins",
  "POST /plugins/pull": "plugins",
  "POST /plugins/create": "plugins",
  "GET /plugins/{name}/json": "plugins",
  "DELETE /plugins/{name}": "plugins",
  "POST /plugins/{name}/enable": "plugins",
  "POST /plugins/{name}/disable": "plugins",
  "POST /plugins/{name}/upgrade": "plugins",
  "POST /plugins/{name}/push": "plugins",
  "POST /plugins/{name}/set": "plugins",
  "POST /swarm/init": "swarm mode",
  "POST /swarm/join": "swarm mode",
};

const SWARM_ONLY: readonly string[] = [
  "GET /swarm",
  "POST /swarm/leave",
  "POST /swarm/update",
  "GET /swarm/unlockkey",
  "POST /swarm/unlock",
  ...["nodes", "services", "tasks", "secrets", "configs"].flatMap((kind) => [
    `GET /${kind}`,
    `GET /${kind}/{id}`,
    `POST /${kind}/create`,
    `POST /${kind}/{id}/update`,
    `DELETE /${kind}/{id}`,
    `GET /${kind}/{id}/logs`,
  ]),
];

const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

export const ABSENT_ROUTES: readonly EngineRoute[] = [
  ...Object.entries(ABSENT).map(([operation, what]) =>
    plain(operation, () => {
      throw new NaruError(
        "unsupported",
        `${what} (${operation}) is not supported by this version of naru`,
      );
    }),
  ),
  ...SWARM_ONLY.map((operation) =>
    plain(operation, () => {
      throw new NaruError("unavailable", NOT_A_MANAGER);
    }),
  ),
];
