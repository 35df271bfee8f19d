import { describe, expect, test } from "bun:test";
import { emptyHostConfig } from "../../test/fakes/bodies.ts";
import { isNaruError } from "../base/mod.ts";
import { decodeContainerUpdate } from "../spec/mod.ts";
import { planUpdate } from "./update-plan.ts";

const MIB = 1024 * 1024;

function plan(before: object, body: object, mode: "v1" | "v2" = "v1") {
  return planUpdate({ ...emptyHostConfig(), ...before }, decodeContainerUpdate(body), mode);
}

function refusal(before: object, body: object, mode: "v1" | "v2" = "v1"): string {
  try {
    plan(before, body, mode);
  } catch (error) {
    if (isNaruError(error)) return `${error.kind}: ${error.message}`;
    throw error;
  }
  throw new Error("was accepted");
}

describe("an update", () => {
  test("of nothing changes nothing", () => {
    const before = { Memory: 64 * MIB, MemorySwap: 128 * MIB, PidsLimit: 5 };
    const { hostConfig, touched } = plan(before, {});
    expect(hostConfig).toEqual({ ...emptyHostConfig(), ...before });
    expect(touched.size).toBe(0);
  });

  test("touches what it names, and what shares its file", () => {
    const { hostConfig, touched } = plan({ CpuPeriod: 50_000 }, { CpuQuota: 25_000, PidsLimit: 0 });
    expect(hostConfig).toMatchObject({ CpuPeriod: 50_000, CpuQuota: 25_000, PidsLimit: 0 });
    expect([...touched].sort()).toEqual(["cpuPeriodUs", "cpuQuotaUs", "pidsLimit"]);
  });

  test("of memory alone keeps the rule of twice as much with swap", () => {
    expect(plan({}, { Memory: 64 * MIB }).hostConfig.MemorySwap).toBe(128 * MIB);
    expect(
      plan({ Memory: 32 * MIB, MemorySwap: -1 }, { Memory: 64 * MIB }).hostConfig,
    ).toMatchObject({ Memory: 64 * MIB, MemorySwap: -1 });
  });

  test("replaces rates by the path of their device", () => {
    const before = {
      BlkioDeviceReadBps: [
        { Path: "/a", Rate: 1 },
        { Path: "/b", Rate: 2 },
      ],
    };
    const { hostConfig, touched } = plan(before, { BlkioDeviceReadBps: [{ Path: "/b", Rate: 3 }] });
    expect(hostConfig.BlkioDeviceReadBps).toEqual([
      { Path: "/a", Rate: 1 },
      { Path: "/b", Rate: 3 },
    ]);
    expect([...touched]).toEqual(["blkioReadBps"]);
    const lifted = plan(before, { BlkioDeviceReadBps: [{ Path: "/a", Rate: 0 }] });
    expect(lifted.hostConfig.BlkioDeviceReadBps).toEqual([{ Path: "/b", Rate: 2 }]);
    expect(lifted.live.BlkioDeviceReadBps).toContainEqual({ Path: "/a", Rate: 0 });
  });

  test("takes a restart policy, not with AutoRemove", () => {
    const policy = { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 } };
    expect(plan({}, policy).hostConfig.RestartPolicy).toEqual(policy.RestartPolicy);
    expect(refusal({ AutoRemove: true }, policy)).toContain("AutoRemove is enabled");
    expect(refusal({}, { RestartPolicy: { Name: "x" } })).toContain("invalid_argument: invalid");
  });

  test("is refused in Docker's words where values clash", () => {
    const swap = { Memory: 32 * MIB, MemorySwap: 64 * MIB };
    expect(refusal(swap, { Memory: 128 * MIB })).toBe(
      "conflict: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
    expect(refusal({ NanoCpus: 1e9 }, { CpuQuota: 5000 })).toContain("CPU Quota cannot be updated");
    expect(refusal({ CpuPeriod: 5000 }, { NanoCpus: 1e9 })).toContain(
      "Nano CPUs cannot be updated",
    );
    expect(refusal({}, { Memory: 1 })).toContain("Minimum memory limit allowed is 6MB");
  });

  test("names what it cannot change", () => {
    const wishes: Record<string, unknown> = {
      CgroupParent: "/x",
      Devices: [{ PathOnHost: "/dev/null" }],
      DeviceCgroupRules: ["a *:* rwm"],
      DeviceRequests: [{ Count: 1 }],
      Ulimits: [{ Name: "nofile", Soft: 1, Hard: 1 }],
      CpuCount: 1,
      CpuPercent: 1,
      IOMaximumIOps: 1,
      IOMaximumBandwidth: 1,
    };
    for (const [field, value] of Object.entries(wishes)) {
      expect(refusal({}, { [field]: value })).toBe(
        `unsupported: ${field}: cannot be changed by an update`,
      );
    }
    expect(refusal({}, { MemorySwappiness: 5 }, "v2")).toContain("MemorySwappiness");
    expect(plan({}, { MemorySwappiness: 5 }).hostConfig.MemorySwappiness).toBe(5);
  });
});
