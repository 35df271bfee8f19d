import { NaruError } from "../base/mod.ts";
import type { NetworkMode } from "./contract.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** HostConfig.NetworkMode. `default` means `bridge`, or `none` on an engine without a bridge. */
export function parseNetworkMode(text: string, hasBridge: boolean): NetworkMode {
  if (text === "" || text === "default") return { kind: hasBridge ? "bridge" : "none" };
  if (text === "bridge" && !hasBridge) throw new NaruError("not_found", "network bridge not found");
  if (text === "bridge" || text === "none" || text === "host") return { kind: text };
  const container = text.startsWith("container:") ? text.slice("container:".length) : undefined;
  if (container !== undefined) {
    if (NAME.test(container)) return { kind: "container", container };
    throw new NaruError("invalid_argument", `invalid container name in network mode "${text}"`);
  }
  if (NAME.test(text)) return { kind: "named", name: text };
  throw new NaruError("invalid_argument", `invalid network mode "${text}"`);
}
