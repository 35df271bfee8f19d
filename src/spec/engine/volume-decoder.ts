import { type Decoder, field, isObject, map, object, optional, pointer, text } from "../decode.ts";
import type { VolumeCreateBody } from "./volume.ts";

const anyObject: Decoder<object> = (value) => (isObject(value) ? value : {});

const createBody: Decoder<VolumeCreateBody> = object<VolumeCreateBody>({
  Name: field(text),
  Driver: field(text),
  DriverOpts: field(map(text)),
  Labels: field(map(text)),
  ClusterVolumeSpec: optional(pointer(anyObject)),
});

/** Body of `POST /volumes/create`. */
export function decodeVolumeCreate(value: unknown): VolumeCreateBody {
  return createBody(value, "");
}
