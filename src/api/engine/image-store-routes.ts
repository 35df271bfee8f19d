import { JsonStreamWriter } from "../../transport/mod.ts";
import type { Call } from "./call.ts";
import { type EngineRoute, type PlainHandler, plain } from "./handler.ts";
import { credentialsOf } from "./registry-routes.ts";

/** naru's own: the health of the image store. Documented in docs/decisions/0071. */

const verify: PlainHandler = async (call, { images }) => {
  const repair = call.query.flag("repair");
  const credentials = credentialsOf(call);
  await lines(call, images.verify({ repair, credentials, signal: call.signal }));
};

const stored: PlainHandler = async (call, { images }) => {
  await lines(call, images.stored());
};

const collect: PlainHandler = async (call, { images }) => {
  const { freedBytes, blobs, layers } = await images.collectGarbage();
  call.json({ SpaceReclaimed: freedBytes, Blobs: blobs, Layers: layers });
};

/** One JSON object a line, as they come: the store may be large. */
async function lines(call: Call, items: AsyncIterable<object>): Promise<void> {
  const writer = new JsonStreamWriter(call.response, "\n");
  call.startStream("application/json");
  for await (const item of items) await writer.write(item);
  call.response.end();
}

export const IMAGE_STORE_ROUTES: readonly EngineRoute[] = [
  plain("POST /naru/v1/images/verify", verify),
  plain("GET /naru/v1/images/garbage", stored),
  plain("POST /naru/v1/images/garbage", collect),
];
