import { digestOf, newId } from "../../src/base/mod.ts";
import type { ContainerRecord } from "../../src/containers/mod.ts";
import { emptyConfig, emptyHostConfig } from "./bodies.ts";

/** A created container of busybox. */
export function containerRecord(over: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    version: 1,
    id: newId(),
    name: "name",
    createdAtNs: "1000000000000000000",
    imageId: digestOf("image"),
    chainId: null,
    platform: "linux",
    config: { ...emptyConfig(), Image: "busybox", Cmd: ["sh"] },
    hostConfig: emptyHostConfig(),
    networking: { EndpointsConfig: null },
    mounts: [],
    runtime: { name: "crun", path: "/usr/bin/crun", args: [] },
    state: { kind: "created", error: "", exitCode: 0 },
    endpoints: [],
    runNumber: 0,
    restartCount: 0,
    stoppedByUser: false,
    ...over,
  };
}
