import { expect, test } from "bun:test";
import { API_VERSION_MAX, parseApiVersion, splitVersion } from "./api-version.ts";
import { engineOperations } from "./engine-api.ts";
import { Query } from "./query.ts";
import { Router } from "./router.ts";

const router = new Router<string>(
  [
    "GET /containers/json",
    "GET /containers/{id}/json",
    "DELETE /containers/{id}",
    "GET /containers/{id}/attach/ws",
    "GET /images/{name}/json",
    "GET /images/json",
    "DELETE /images/{name}",
  ].map((operation) => ({ operation, handler: operation })),
);

test.each([
  ["GET", "/containers/json", "GET /containers/json", ""],
  ["GET", "/containers/a/json", "GET /containers/{id}/json", "a"],
  ["GET", "/containers/%2Fa/json", "GET /containers/{id}/json", "/a"],
  ["GET", "/containers/json/json", "GET /containers/{id}/json", "json"],
  ["DELETE", "/containers/json", "DELETE /containers/{id}", "json"],
  ["GET", "/containers/a/attach/ws", "GET /containers/{id}/attach/ws", "a"],
  ["GET", "/images/json", "GET /images/json", ""],
  ["GET", "/images/a/b:c/json", "GET /images/{name}/json", "a/b:c"],
  ["GET", "/images/json/json/json", "GET /images/{name}/json", "json/json"],
  ["DELETE", "/images/h:5000/a/b@sha256:0", "DELETE /images/{name}", "h:5000/a/b@sha256:0"],
])("%s %s", (method, path, operation, param) => {
  const match = router.match(method, path, API_VERSION_MAX);
  expect([match.route.operation, match.param]).toEqual([operation, param]);
});

test.each([
  ["GET", "/"],
  ["GET", "/containers"],
  ["POST", "/containers/json"],
  ["GET", "/containers/a/b/json"],
  ["GET", "/containers/json/"],
  ["GET", "/images//json"],
  ["DELETE", "/containers/"],
  ["GET", "/constructor/x/json"],
])("%s %s is no page", (method, path) => {
  expect(() => router.match(method, path, API_VERSION_MAX)).toThrow("page not found");
});

test("a route is there from its first to its last version", () => {
  const dated = new Router([{ operation: "GET /x", since: 1030, until: 1040, handler: 1 }]);
  expect(dated.match("GET", "/x", 1030).route.handler).toBe(1);
  for (const version of [1029, 1041])
    expect(() => dated.match("GET", "/x", version)).toThrow("page");
});

test("versions compare as numbers", () => {
  expect(parseApiVersion("1.41")).toBe(1041);
  for (const old of ["1.9", "1.23", "0.99", "1", "0"])
    expect(() => parseApiVersion(old)).toThrow("too old");
  for (const young of ["1.57", "1.100", "2", "2.0", "9.99", "1.9999999"])
    expect(() => parseApiVersion(young)).toThrow("too new");
  expect(splitVersion("/v1.41/info")).toEqual({ version: "1.41", rest: "/info" });
  for (const path of [
    "/vx/info",
    "/v/info",
    "/v1.41",
    "/version",
    "/volumes/v1.41/x",
    "/v.1/info",
  ]) {
    expect(splitVersion(path)).toEqual({ version: undefined, rest: path });
  }
});

test("query booleans and numbers are Docker's", () => {
  const query = new Query(
    "a=1&b=0&c=no&d=None&e=&f=False&g=true&h=maybe&n=-5&m=x&big=99999999999999999999",
  );
  expect(Array.from("abcdefghz", (name) => query.flag(name))).toEqual([
    true,
    false,
    false,
    false,
    false,
    false,
    true,
    true,
    false,
  ]);
  expect([query.whole("n"), query.whole("z")]).toEqual([-5, undefined]);
  expect(() => query.whole("m")).toThrow('strconv.Atoi: parsing "x": invalid syntax');
  expect(() => query.whole("big")).toThrow("value out of range");
  expect(() => query.wholeRequired("z")).toThrow('strconv.Atoi: parsing "": invalid syntax');
});

test("no operation is answered twice", () => {
  const operations = engineOperations();
  expect(new Set(operations).size).toBe(operations.length);
});
