import { expect, test } from "bun:test";
import { emptyConfig } from "../../test/fakes/bodies.ts";
import type { ContainerConfig } from "../spec/mod.ts";
import { commandOf, mergeConfig } from "./config-merge.ts";

function merge(asked: Partial<ContainerConfig>, image: Partial<ContainerConfig>) {
  return mergeConfig({ ...emptyConfig(), ...asked }, { ...emptyConfig(), ...image });
}

test("entrypoint and command follow Docker's table", () => {
  const image = { Entrypoint: ["/e"], Cmd: ["c"] };
  expect(commandOf(merge({}, image))).toEqual(["/e", "c"]);
  expect(commandOf(merge({ Cmd: ["x"] }, image))).toEqual(["/e", "x"]);
  expect(commandOf(merge({ Entrypoint: ["/y"] }, image))).toEqual(["/y"]);
  expect(commandOf(merge({ Entrypoint: ["/y"], Cmd: ["z"] }, image))).toEqual(["/y", "z"]);
  expect(commandOf(merge({ Entrypoint: [""], Cmd: ["z"] }, image))).toEqual(["z"]);
  expect(commandOf(merge({ Entrypoint: [] }, image))).toEqual(["c"]);
  expect(() => merge({}, {})).toThrow("No command specified");
  expect(() => merge({ Entrypoint: [""] }, image)).toThrow("No command specified");
});

test("variables and labels are joined by name, the request wins", () => {
  const merged = merge(
    { Cmd: ["c"], Env: ["A=1", "B"], Labels: { x: "1" } },
    { Env: ["PATH=/bin", "A=2", "B=3"], Labels: { x: "2", y: "3" } },
  );
  expect(merged.Env).toEqual(["A=1", "B", "PATH=/bin"]);
  expect(merged.Labels).toEqual({ x: "1", y: "3" });
});

test("ports, volumes, user, directory and stop signal come from the image when not given", () => {
  const image = {
    Cmd: ["c"],
    User: "app",
    WorkingDir: "/w",
    StopSignal: "SIGINT",
    ExposedPorts: { "80/tcp": {} },
    Volumes: { "/v": {} },
  };
  const merged = merge({ ExposedPorts: { "81/tcp": {} }, User: "1" }, image);
  expect(merged.User).toBe("1");
  expect(merged.WorkingDir).toBe("/w");
  expect(merged.StopSignal).toBe("SIGINT");
  expect(Object.keys(merged.ExposedPorts ?? {}).sort()).toEqual(["80/tcp", "81/tcp"]);
  expect(merged.Volumes).toEqual({ "/v": {} });
});

test("a health check inherits what it leaves out", () => {
  const image = { Cmd: ["c"], Healthcheck: { Test: ["CMD", "a"], Retries: 5 } };
  expect(merge({ Healthcheck: { Interval: 7 } }, image).Healthcheck).toEqual({
    Test: ["CMD", "a"],
    Interval: 7,
    Retries: 5,
  });
  expect(merge({ Healthcheck: { Test: ["NONE"] } }, image).Healthcheck?.Test).toEqual(["NONE"]);
});
