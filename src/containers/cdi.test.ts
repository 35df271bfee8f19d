import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emptyHostConfig } from "../../test/fakes/bodies.ts";
import type { HostConfig } from "../spec/mod.ts";
import { checkDeviceRequests, planCdi } from "./cdi.ts";

const root: string = mkdtempSync("/tmp/naru-cdi-");
const dirs: readonly string[] = [join(root, "etc"), join(root, "run"), join(root, "absent")];
for (const dir of dirs.slice(0, 2)) mkdirSync(dir);
afterAll(() => rmSync(root, { recursive: true, force: true }));

writeFileSync(
  join(root, "etc/a.yaml"),
  `cdiVersion: "0.6.0"
kind: example.com/thing
containerEdits:
  env: [ALL=1]
devices:
  - name: one
    containerEdits:
      env: [ONE=old]
  - name: two
    containerEdits:
      deviceNodes: [{path: /dev/two, hostPath: /dev/null, permissions: rw, uid: 7}]
      mounts: [{hostPath: /usr, containerPath: /vendor, options: [ro, bind, nosuid]}]
      hooks: [{hookName: createContainer, path: /bin/true, args: ["true", x]}]
      additionalGids: [44]
  - name: odd
    containerEdits: {intelRdt: {closID: x}}
`,
);
writeFileSync(
  join(root, "run/b.json"),
  JSON.stringify({
    kind: "example.com/thing",
    devices: [{ name: "one", containerEdits: { env: ["ONE=new"] } }],
  }),
);

function asking(ids: string[], Driver = "cdi"): HostConfig {
  const more = { Count: 0, Capabilities: null, Options: null };
  return { ...emptyHostConfig(), DeviceRequests: [{ Driver, DeviceIDs: ids, ...more }] };
}

test("the later folder wins, and a file's own edits apply once", () => {
  expect(planCdi(asking(["example.com/thing=one"]), dirs).env).toEqual(["ONE=new"]);
  const two = planCdi(asking(["example.com/thing=two", "example.com/thing=two"]), dirs);
  expect(two.env).toEqual(["ALL=1"]);
  expect(two.devices).toMatchObject([
    { path: "/dev/two", type: "c", major: 1, minor: 3, uid: 7, access: "rw" },
  ]);
  expect(two.mounts).toMatchObject([
    { source: "/usr", destination: "/vendor", recursive: false, readOnly: "top", more: ["nosuid"] },
  ]);
  expect(two.hooks["createContainer"]).toMatchObject([{ path: "/bin/true", args: ["true", "x"] }]);
  expect(two.additionalGids).toEqual([44]);
});

test("unknown devices, edits, drivers and names are refused by name", () => {
  const name = "example.com/thing=none";
  expect(() => planCdi(asking([name]), dirs)).toThrow(`unresolvable CDI devices ${name}`);
  expect(() => planCdi(asking(["example.com/thing=odd"]), dirs)).toThrow("intelRdt");
  expect(() => checkDeviceRequests(asking(["nonsense"]), dirs)).toThrow('"nonsense"');
  expect(() => checkDeviceRequests(asking([], "nvidia"), dirs)).toThrow(
    "HostConfig.DeviceRequests",
  );
  writeFileSync(join(root, "run/c.json"), "{");
  expect(() => planCdi(asking(["example.com/thing=one"]), dirs)).toThrow("c.json");
  rmSync(join(root, "run/c.json"));
});

test("--gpus is met by what a CDI specification of this host describes", () => {
  const gpus = (over: object): HostConfig => ({
    ...emptyHostConfig(),
    DeviceRequests: [
      {
        ...{ Driver: "", Count: 0, DeviceIDs: null, Options: null },
        Capabilities: [["gpu"]],
        ...over,
      },
    ],
  });
  expect(() => checkDeviceRequests(gpus({ Count: -1 }), dirs)).toThrow(
    'could not select device driver "" with capabilities: [[gpu]] (no CDI specification of nvidia.com/gpu',
  );
  const device = (name: string): object => ({ name, containerEdits: { env: [`GPU_${name}=1`] } });
  const vendor = join(root, "vendor");
  mkdirSync(vendor);
  const devices = ["all", "0", "1", "GPU-abc"].map(device);
  writeFileSync(join(vendor, "nvidia.yaml"), JSON.stringify({ kind: "nvidia.com/gpu", devices }));
  const env = (over: object): readonly string[] => {
    checkDeviceRequests(gpus(over), [vendor]);
    return planCdi(gpus(over), [vendor]).env;
  };
  expect(env({ Count: -1 })).toEqual(["GPU_all=1"]);
  expect(env({ Count: 2, Driver: "nvidia" })).toEqual(["GPU_0=1", "GPU_1=1"]);
  expect(env({ DeviceIDs: ["GPU-abc"] })).toEqual(["GPU_GPU-abc=1"]);
  expect(() => env({ Count: 3 })).toThrow("nvidia.com/gpu=2");
  expect(() => env({ Count: -1, Driver: "amd" })).toThrow("amd.com/gpu");
  expect(() => env({ Count: 1, DeviceIDs: ["0"] })).toThrow("cannot set both Count and DeviceIDs");
  expect(() => env({ Count: 1, Capabilities: [["tpu"]] })).toThrow("[[tpu]]");
});
