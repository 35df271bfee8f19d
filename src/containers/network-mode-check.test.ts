import { expect, test } from "bun:test";
import { decodeContainerCreate } from "../spec/mod.ts";
import { checkSharedNetwork } from "./network-mode-check.ts";

function body(config: object, host: object = {}): ReturnType<typeof decodeContainerCreate> {
  const HostConfig = { NetworkMode: "container:web", ...host };
  return decodeContainerCreate({ Image: "x", ...config, HostConfig });
}

test("who shares another's network brings nothing of that kind", () => {
  const cases: readonly [body: ReturnType<typeof body>, words: string][] = [
    [body({ Hostname: "h" }), "hostname and the network mode"],
    [body({}, { Dns: ["10.0.0.1"] }), "dns and the network mode"],
    [body({}, { ExtraHosts: ["a:10.0.0.1"] }), "custom host-to-IP mapping and the network mode"],
    [body({}, { PublishAllPorts: true }), "port publishing and the container type network mode"],
    [body({ ExposedPorts: { "80/tcp": {} } }), "port exposing and the container type network mode"],
  ];
  for (const [asked, words] of cases) {
    expect(() => checkSharedNetwork(asked)).toThrow(`conflicting options: ${words}`);
  }
});

test("nothing asked, or a network of its own, is fine", () => {
  checkSharedNetwork(body({}));
  checkSharedNetwork(body({ Hostname: "h", ExposedPorts: { "80/tcp": {} } }, { NetworkMode: "" }));
});
