import { expect, test } from "bun:test";
import { parseRoute } from "./route.ts";

const codeOf = (path: string): unknown => {
  try {
    return parseRoute(path);
  } catch (error) {
    return (error as { details: { code: string } }).details.code;
  }
};

test("paths of the specification", () => {
  expect(parseRoute("/v2/")).toEqual({ kind: "base" });
  expect(parseRoute("/v2/_catalog")).toEqual({ kind: "catalog" });
  expect(parseRoute("/v2/a/b/tags/list")).toEqual({ kind: "tags", repository: "a/b" });
  expect(parseRoute("/v2/a/manifests/v1")).toEqual({
    ...{ kind: "manifest", repository: "a", reference: "v1" },
  });
  expect(parseRoute("/v2/a/blobs/uploads/")).toEqual({ kind: "uploads", repository: "a" });
  expect(parseRoute("/v2/a/blobs/uploads/x")).toEqual({
    ...{ kind: "upload", repository: "a", id: "x" },
  });
  expect(parseRoute("/v2/a/blobs/sha256%3Aab")).toEqual({
    ...{ kind: "blob", repository: "a", digest: "sha256:ab" },
  });
  expect(parseRoute("/elsewhere")).toBeUndefined();
});

test("names may contain the words of endpoints", () => {
  expect(parseRoute("/v2/manifests/blobs/tags/list/manifests/v1")).toEqual({
    ...{ kind: "manifest", repository: "manifests/blobs/tags/list", reference: "v1" },
  });
});

test("what is no name or no endpoint", () => {
  for (const path of ["/v2/../x/tags/list", "/v2/A/tags/list", "/v2/a%2/tags/list"]) {
    expect([path, codeOf(path)]).toEqual([path, "NAME_INVALID"]);
  }
  expect(codeOf("/v2/a/tags")).toBe("NAME_UNKNOWN");
});
