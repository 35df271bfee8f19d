import { describe, expect, test } from "bun:test";
import { resolveUser } from "./user.ts";

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:\nbroken\n7:x:9:9::/seven:\n",
  group: "root:x:0:\napp:x:1001:\nwheel:x:10:root,app\naudio:x:63:app\nbad:x:y:\n",
};

describe("resolveUser", () => {
  const cases: readonly [string, readonly string[], number, number, readonly number[], string][] = [
    ["", [], 0, 0, [0, 10], "/root"],
    ["app", [], 1000, 1001, [1001, 10, 63], "/home/app"],
    ["1000", [], 1000, 1001, [1001, 10, 63], "/home/app"],
    ["app:wheel", [], 1000, 10, [10], "/home/app"],
    ["app:77", [], 1000, 77, [77], "/home/app"],
    ["4242", [], 4242, 0, [0], "/"],
    ["4242:4243", ["audio", "5"], 4242, 4243, [4243, 63, 5], "/"],
    ["7", [], 9, 9, [9], "/seven"], // a name of digits comes before the number
    [":wheel", [], 0, 10, [10], "/root"],
  ];
  for (const [text, add, uid, gid, additionalGids, home] of cases) {
    test(JSON.stringify([text, add]), () => {
      expect(resolveUser(text, add, files)).toEqual({ uid, gid, additionalGids, home });
    });
  }

  test("names without an entry are refused in Docker's words", () => {
    expect(() => resolveUser("nobody", [], files)).toThrow(
      "unable to find user nobody: no matching entries in passwd file",
    );
    expect(() => resolveUser("app:none", [], files)).toThrow("unable to find group none");
    expect(() => resolveUser("app", ["none"], files)).toThrow("unable to find group none");
    expect(() => resolveUser("4294967295", [], files)).toThrow("must be in range");
    expect(() => resolveUser("-1", [], files)).toThrow("unable to find user -1");
  });

  test("an image without account files still has root", () => {
    expect(resolveUser("", [], { passwd: "", group: "" })).toEqual({
      uid: 0,
      gid: 0,
      additionalGids: [0],
      home: "/",
    });
  });
});
