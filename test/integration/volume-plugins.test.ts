/** The plugin protocol against a plugin that works, and against ones that do not. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { NaruError } from "../../src/base/mod.ts";
import { createPluginHost, type PluginHost } from "../../src/plugins/mod.ts";
import { createPluginDrivers, type Volume } from "../../src/volumes/mod.ts";
import { rejection } from "../fakes/rejection.ts";
import { type Misbehaviour, NO_ANSWER, VolumePlugin } from "../harness/volume-plugin.ts";

const LIMITS = { callMs: 300, connectMs: 100 };
let dir: string;
let plugin: VolumePlugin;
let host: PluginHost;

beforeEach(async () => {
  dir = mkdtempSync("/tmp/naru-plugins-");
  for (const name of ["sockets", "etc", "usr"]) mkdirSync(join(dir, name));
  const dirs = { sockets: [join(dir, "sockets")], specs: [join(dir, "etc"), join(dir, "usr")] };
  host = createPluginHost(dirs, LIMITS);
  plugin = await VolumePlugin.start(join(dir, "sockets", "blue.sock"));
});
afterEach(async () => {
  await plugin.close();
  rmSync(dir, { recursive: true, force: true });
});

const volume = (name: string): Volume => ({
  ...{ version: 1, name, driver: "blue", createdAtNs: "0", labels: {}, anonymous: false },
});

async function failure(call: Promise<unknown>): Promise<NaruError> {
  return (await rejection(call)) as NaruError;
}

describe("discovery", () => {
  test("finds sockets, then specs and JSON files, and refuses what is no address", async () => {
    writeFileSync(join(dir, "etc", "one.spec"), `unix://${join(dir, "sockets", "blue.sock")}\n`);
    mkdirSync(join(dir, "usr", "two"));
    const json = { Name: "two", Addr: `unix://${join(dir, "sockets", "blue.sock")}` };
    writeFileSync(join(dir, "usr", "two", "two.json"), JSON.stringify(json));
    writeFileSync(join(dir, "etc", "bad.spec"), "file:///etc/passwd");
    writeFileSync(join(dir, "etc", "worse.json"), "{");
    writeFileSync(join(dir, "etc", "blue.spec"), "tcp://127.0.0.1:1"); // the socket goes first
    expect(await host.names()).toEqual(["bad", "blue", "one", "two", "worse"]);
    const drivers = createPluginDrivers(host);
    for (const name of ["one", "two", "blue"]) {
      expect((await drivers.driver(name)).scope).toBe("global");
    }
    expect((await failure(drivers.driver("bad"))).message).toContain("want unix:///PATH");
    expect((await failure(drivers.driver("worse"))).message).toContain("malformed JSON");
    for (const name of ["none", "../sockets/blue", "a/b", "", "x\0y"]) {
      const { kind, message } = await failure(drivers.driver(name));
      expect({ name, kind }).toEqual({ name, kind: "not_found" });
      expect(message).toContain("error looking up volume plugin");
    }
  });

  test("a socket that nobody listens on is unavailable", async () => {
    const dead = createServer().listen(join(dir, "sockets", "dead.sock"));
    await new Promise((resolve) => dead.once("listening", resolve));
    await plugin.close(); // its socket file goes too
    writeFileSync(join(dir, "sockets", "file.sock"), "");
    const error = await failure(createPluginDrivers(host).driver("file"));
    expect(error.kind).toBe("unavailable");
    dead.close();
    plugin = await VolumePlugin.start(join(dir, "sockets", "blue.sock"));
  });
});

test("the life of a volume", async () => {
  const driver = await createPluginDrivers(host).driver("blue");
  await driver.create("v", { size: "big" });
  expect(await driver.look("v")).toMatchObject({ name: "v", status: { colour: "blue" } });
  expect(await driver.look("w")).toBeUndefined();
  expect(await driver.list()).toMatchObject([{ name: "v", mountpoint: "" }]);
  const path = await driver.mount(volume("v"), { user: "c1", first: true });
  expect(path).toBe(join(plugin.root, "v"));
  await driver.unmount(volume("v"), { user: "c1", last: true });
  await driver.remove("v");
  expect(plugin.calls).toEqual([
    ...["Plugin.Activate", "Capabilities", "Create v", "Get v", "Get w", "List"],
    ...["Mount v c1", "Unmount v c1", "Remove v"],
  ]);
});

describe("hostile answers", () => {
  const mountOf =
    (answer: unknown): Misbehaviour =>
    (method) =>
      method === "VolumeDriver.Mount" ? answer : undefined;
  const raw =
    (text: string, status = 200): Misbehaviour =>
    (method, response) => {
      if (method !== "VolumeDriver.Mount") return undefined;
      response.statusCode = status;
      return void response.end(text);
    };
  const cases: readonly (readonly [string, Misbehaviour, RegExp])[] = [
    ["no JSON", raw("<html>"), /no JSON object/],
    ["nothing", raw(""), /no JSON object/],
    ["a list", raw("[]"), /no JSON object/],
    ["a status without words", raw("{}", 500), /status 500/],
    ["a redirection", raw("", 302), /status 302/],
    ["no such call", raw("404 page not found", 404), /no such call/],
    ["words of its own", mountOf({ Err: "out of\n\u001b[2J tape" }), /out of {2}\[2J tape/],
    ["no path", mountOf({ Mountpoint: 7 }), /no absolute mountpoint/],
    ["a relative path", mountOf({ Mountpoint: "etc" }), /no absolute mountpoint/],
    ["a NUL in the path", mountOf({ Mountpoint: "/etc\0x" }), /bad mountpoint/],
    ["a file", mountOf({ Mountpoint: "/etc/passwd" }), /no directory/],
    ["a path that is not there", mountOf({ Mountpoint: "/nothing/here" }), /no directory/],
    ["no answer", (method) => (method === "VolumeDriver.Mount" ? NO_ANSWER : undefined), /in time/],
    ["more than anybody reads", raw("x".repeat(5 * 1024 * 1024)), /bytes of answer/],
    [
      "a connection that ends",
      (method, response) => {
        if (method === "VolumeDriver.Mount") response.destroy();
      },
      /VolumeDriver.Mount/,
    ],
  ];
  for (const [name, misbehave, words] of cases) {
    test(name, async () => {
      const driver = await createPluginDrivers(host).driver("blue");
      await driver.create("v", {});
      plugin.misbehave = misbehave;
      const { message } = await failure(driver.mount(volume("v"), { user: "c", first: true }));
      expect(message).toMatch(words);
      expect(message.length).toBeLessThan(1000);
      expect(message).not.toMatch(/\p{Cc}/u);
      plugin.misbehave = undefined;
      expect(await driver.mount(volume("v"), { user: "c", first: true })).toBe(
        join(plugin.root, "v"),
      );
    });
  }

  test("names that are paths, and junk in a list, are left out", async () => {
    const driver = await createPluginDrivers(host).driver("blue");
    const names = ["../x", "a/b", "a\nb", "", ".", 7, null, "good"];
    plugin.misbehave = () => ({ Volumes: [...names.map((Name) => ({ Name })), "x", null] });
    expect((await driver.list()).map(({ name }) => name)).toEqual(["good"]);
    plugin.misbehave = undefined;
    expect((await failure(driver.create("../x", {}))).kind).toBe("invalid_argument");
  });

  test("one that implements something else is no volume driver", async () => {
    plugin.misbehave = () => ({ Implements: ["NetworkDriver"] });
    const { kind, message } = await failure(createPluginDrivers(host).driver("blue"));
    expect(kind).toBe("unsupported");
    expect(message).toContain("is no VolumeDriver");
  });
});
