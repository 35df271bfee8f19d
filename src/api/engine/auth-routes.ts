import { NaruError } from "../../base/mod.ts";
import { decodeAuth } from "../../spec/mod.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";

const DOCKER_HUB = "https://index.docker.io/v1/"; // what clients mean without an address

/** Nobody can say whether credentials are right who does not ask the registry. */
const auth: PlainHandler = async (call) => {
  const { serveraddress: address } = decodeAuth(await call.jsonBody());
  const server = (address === "" ? DOCKER_HUB : address).slice(0, 200);
  throw new NaruError(
    "unsupported",
    `cannot log in to ${server}: logging in to a registry (POST /auth) is not supported by this version of naru`,
    { field: "serveraddress" },
  );
};

export const AUTH_ROUTES: readonly EngineRoute[] = [plain("POST /auth", auth)];
