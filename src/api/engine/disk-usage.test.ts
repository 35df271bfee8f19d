import { expect, test } from "bun:test";
import type { ContainerSummary, ImageSummary, VolumeWithUsage } from "../../spec/mod.ts";
import { usageByKind } from "./disk-usage-routes.ts";

const image = (Size: number, SharedSize: number, Containers: number) =>
  ({ Size, SharedSize, Containers }) as ImageSummary;
const container = (State: string, SizeRw: number) => ({ State, SizeRw }) as ContainerSummary;
const volume = (Size: number, RefCount: number) =>
  ({ Name: "v", UsageData: { Size, RefCount } }) as VolumeWithUsage;

const FOUND = {
  layersBytes: 100,
  images: [image(60, 20, 1), image(60, 20, 0)],
  containers: [container("running", 5), container("paused", 1), container("exited", 7)],
  volumes: [volume(10, 0), volume(30, 2)],
  hasCache: true,
};

test("what nothing uses can be reclaimed; layers count once", () => {
  expect(usageByKind(FOUND, false)).toEqual({
    ImageUsage: { ActiveCount: 1, TotalCount: 2, Reclaimable: 60, TotalSize: 100 },
    ContainerUsage: { ActiveCount: 2, TotalCount: 3, Reclaimable: 7, TotalSize: 13 },
    VolumeUsage: { ActiveCount: 1, TotalCount: 2, Reclaimable: 10, TotalSize: 40 },
    BuildCacheUsage: { ActiveCount: 0, TotalCount: 0, Reclaimable: 0, TotalSize: 0 },
  });
});

test("details only when asked for, kinds too", () => {
  const only = { ...FOUND, images: undefined, containers: undefined, hasCache: false };
  const usage = usageByKind(only, true);
  expect(Object.keys(usage)).toEqual(["VolumeUsage"]);
  expect(usage.VolumeUsage?.Items).toEqual(FOUND.volumes);
});
