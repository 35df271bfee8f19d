import { NaruError } from "../../base/mod.ts";
import { decodeFilters, decodeVolumeCreate, type VolumeListBody } from "../../spec/mod.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const PRUNES_ANONYMOUS_ONLY_SINCE = 1042; // older clients mean every unused volume
const CLUSTER_ONLY =
  "This node is not a swarm manager. Cluster volumes need swarm mode, which naru does not have.";

const list: PlainHandler = async (call, { volumes }) => {
  const found = await volumes.list(decodeFilters(call.query.text("filters")));
  const { warnings } = found;
  const answer: VolumeListBody = {
    Volumes: found.volumes,
    Warnings: warnings.length === 0 ? null : warnings,
  };
  call.json(answer);
};

const create: PlainHandler = async (call, { volumes }) => {
  const body = decodeVolumeCreate(await call.jsonBody());
  if (body.ClusterVolumeSpec) throw new NaruError("unavailable", CLUSTER_ONLY);
  const made = await volumes.create({
    name: body.Name,
    driver: body.Driver,
    options: body.DriverOpts ?? {},
    labels: body.Labels ?? {},
  });
  call.json(made, 201);
};

const inspect: PlainHandler = async (call, { volumes }) => {
  call.json(await volumes.inspect(call.param));
};

/** Only what swarm mode has can be changed. */
const update: PlainHandler = () => {
  throw new NaruError("unavailable", CLUSTER_ONLY);
};

const remove: PlainHandler = async (call, { volumes }) => {
  await volumes.remove(call.param, { force: call.query.flag("force") });
  call.empty(204);
};

const prune: PlainHandler = async (call, { volumes }) => {
  const filters = decodeFilters(call.query.text("filters"));
  const named = call.version < PRUNES_ANONYMOUS_ONLY_SINCE;
  call.json(await volumes.prune(filters, { named }));
};

export const VOLUME_ROUTES: readonly EngineRoute[] = [
  plain("GET /volumes", list),
  plain("POST /volumes/create", create),
  plain("POST /volumes/prune", prune, { since: 1025 }),
  plain("GET /volumes/{name}", inspect),
  plain("PUT /volumes/{name}", update, { since: 1042 }),
  plain("DELETE /volumes/{name}", remove),
];
