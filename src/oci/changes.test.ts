import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeContainerConfig } from "../spec/mod.ts";
import { applyChanges } from "./changes.ts";

const empty = () => decodeContainerConfig({}, "config");

describe("changes", () => {
  test.each([
    ["CMD echo hi", { Cmd: ["/bin/sh", "-c", "echo hi"] }],
    ['cmd ["a", "b c"]', { Cmd: ["a", "b c"] }],
    ['ENTRYPOINT ["/e"]', { Entrypoint: ["/e"] }],
    ["ENTRYPOINT e x", { Entrypoint: ["/bin/sh", "-c", "e x"] }],
    ['ENV A=1 B="two words" C=it\\\'s', { Env: ["A=1", "B=two words", "C=it's"] }],
    ["ENV OLD some value", { Env: ["OLD=some value"] }],
    ["ENV A=1\nENV A=2", { Env: ["A=2"] }],
    [
      "EXPOSE 80 53/udp 8000-8001",
      { ExposedPorts: { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {} } },
    ],
    ["LABEL a=b 'c d'=e", { Labels: { a: "b", "c d": "e" } }],
    ["ONBUILD RUN x", { OnBuild: ["RUN x"] }],
    ["STOPSIGNAL SIGINT", { StopSignal: "SIGINT" }],
    ["USER 1000:1000", { User: "1000:1000" }],
    ['VOLUME ["/a"]', { Volumes: { "/a": {} } }],
    ["VOLUME /a /b", { Volumes: { "/a": {}, "/b": {} } }],
    ["WORKDIR /a\nWORKDIR b/../c", { WorkingDir: "/a/c" }],
    ["HEALTHCHECK NONE", { Healthcheck: { Test: ["NONE"] } }],
    [
      "HEALTHCHECK --interval=1m30s --retries=2 CMD curl x",
      { Healthcheck: { Test: ["CMD-SHELL", "curl x"], Interval: 90e9, Retries: 2 } },
    ],
    ['HEALTHCHECK CMD ["a"]', { Healthcheck: { Test: ["CMD", "a"] } }],
    ["# comment\n\nUSER \\\n  x", { User: "x" }],
  ])("%s", (change, wanted) => {
    expect(applyChanges(empty(), [change])).toMatchObject(wanted);
  });

  test.each([
    ["RUN x", /^run is not a valid change command$/],
    ["CMD true\nEXPOSE 70000", /^changes line 2: EXPOSE .*70000/],
    ["EXPOSE 90-80", /line 1: EXPOSE/],
    ["ENV", /line 1: ENV requires/],
    ["ENV A", /line 1: ENV must have two/],
    ["ENV =x", /names can not be blank/],
    ["LABEL a=b c", /can't find = in "c"/],
    ["ENV A='x", /quote that does not end/],
    ["ONBUILD ONBUILD RUN x", /chained/],
    ["STOPSIGNAL a b", /invalid signal/],
    ["HEALTHCHECK --interval=x CMD y", /not a duration/],
    ["HEALTHCHECK --nonsense=1 CMD y", /unknown flag/],
    ["HEALTHCHECK CMD", /takes NONE or CMD/],
    ['VOLUME [""]', /empty string/],
  ])("%s is refused", (change, message) => {
    expect(() => applyChanges(empty(), [change])).toThrow(message);
  });

  test("the given configuration is not changed, and any text ends cleanly", () => {
    const words = fc.constantFrom(
      "CMD",
      "ENV",
      "LABEL",
      "EXPOSE",
      "VOLUME",
      "HEALTHCHECK",
      "WORKDIR",
      "RUN",
    );
    const property = fc.property(words, fc.string(), (word, rest) => {
      const config = empty();
      try {
        applyChanges(config, [`${word} ${rest}`]);
      } catch (error) {
        expect(error).toMatchObject({ kind: "invalid_argument" });
      }
      expect(config).toEqual(empty());
    });
    fc.assert(property, { numRuns: 1000 });
  });
});
