import { expect, test } from "bun:test";
import { FlagValues } from "../flags/flag-values.ts";
import { updateBody, updateCommand } from "./update.ts";

function bodyOf(given: Record<string, string>): Record<string, unknown> {
  const values = new FlagValues(updateCommand.flags);
  for (const flag of updateCommand.flags) {
    const value = given[flag.name];
    if (value !== undefined) values.add(flag, value, `--${flag.name}`);
  }
  return updateBody(values);
}

test("each of docker's fourteen flags has its field", () => {
  const dockers = updateCommand.flags.filter(({ name }) => !name.startsWith("publish-"));
  expect(dockers).toHaveLength(14);
  const given = {
    "blkio-weight": "300",
    "cpu-period": "50000",
    "cpu-quota": "25000",
    "cpu-rt-period": "1000",
    "cpu-rt-runtime": "500",
    "cpu-shares": "512",
    cpus: "1.5",
    "cpuset-cpus": "0-1",
    "cpuset-mems": "0",
    memory: "64m",
    "memory-reservation": "32m",
    "memory-swap": "-1",
    "pids-limit": "-1",
    restart: "on-failure:3",
  };
  expect(bodyOf(given)).toEqual({
    BlkioWeight: 300,
    CpuPeriod: 50_000,
    CpuQuota: 25_000,
    CpuRealtimePeriod: 1000,
    CpuRealtimeRuntime: 500,
    CpuShares: 512,
    NanoCpus: 1_500_000_000,
    CpusetCpus: "0-1",
    CpusetMems: "0",
    Memory: 67_108_864,
    MemoryReservation: 33_554_432,
    MemorySwap: -1,
    PidsLimit: -1,
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
  });
});

test("nothing that was not asked for is sent", () => {
  expect(bodyOf({ memory: "64m" })).toEqual({ Memory: 67_108_864 });
  expect(bodyOf({})).toEqual({});
});
