import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatFamiliar,
  formatReference,
  matchesPattern,
  parseReference,
  withDefaultTag,
  withTag,
} from "./reference.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

describe("references", () => {
  test.each([
    ["busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    ["user/app", "docker.io/user/app:latest", "user/app:latest"],
    ["docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"],
    ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
    ["localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"],
    ["registry.example.com/x", "registry.example.com/x:latest", "registry.example.com/x:latest"],
    ["[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y"],
    ["library/library/x", "docker.io/library/library/x:latest", "library/library/x:latest"],
    [`busybox@${DIGEST}`, `docker.io/library/busybox@${DIGEST}`, `busybox@${DIGEST}`],
    [`busybox:1@${DIGEST}`, `docker.io/library/busybox@${DIGEST}`, `busybox@${DIGEST}`],
    ["a__b/c-d.e", "docker.io/a__b/c-d.e:latest", "a__b/c-d.e:latest"],
  ])("%s", (text, whole, familiar) => {
    const reference = withDefaultTag(parseReference(text));
    expect(formatReference(reference)).toBe(whole);
    expect(formatFamiliar(reference)).toBe(familiar);
    expect(formatReference(parseReference(whole))).toBe(whole);
    expect(formatReference(parseReference(familiar))).toBe(whole);
  });

  test.each([
    ["UPPER", /must be lowercase/],
    ["user/Upper:tag", /must be lowercase/],
    ["", /invalid reference format$/],
    [":tag", /invalid reference format$/],
    ["a//b", /invalid reference format$/],
    ["a/", /invalid reference format$/],
    ["/a", /invalid reference format$/],
    ["a:", /invalid reference format$/],
    ["a:b:c", /invalid reference format$/],
    ["a b", /invalid reference format$/],
    ["-a", /invalid reference format$/],
    ["a..b", /invalid reference format$/],
    ["a@sha256:0000", /invalid reference format$/],
    [`a:${"t".repeat(129)}`, /invalid reference format$/],
    ["a".repeat(64), /64-byte hexadecimal/],
    [`x.y/${"b/".repeat(140)}c`, /more than 255/],
    ["x".repeat(5000), /invalid reference format$/],
  ])("%s is refused", (text, message) => {
    expect(() => parseReference(text)).toThrow(message);
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ kind: "invalid_argument" }) as Error,
    );
  });

  test("any text is a reference or refused, and what is one stays itself", () => {
    const texts = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.stringMatching(/^[a-z0-9.:/@_-]{1,40}$/),
    );
    const property = fc.property(texts, (text) => {
      let reference: ReturnType<typeof parseReference>;
      try {
        reference = parseReference(text);
      } catch (error) {
        expect(error).toMatchObject({ kind: "invalid_argument" });
        return;
      }
      expect(parseReference(formatReference(reference))).toEqual({
        ...reference,
        tag: reference.digest === undefined ? reference.tag : undefined,
      });
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test("a tag is set or refused", () => {
    expect(formatFamiliar(withTag(parseReference("a:b"), "c"))).toBe("a:c");
    expect(() => withTag(parseReference("a"), "b/c")).toThrow("invalid tag format");
  });

  test.each([
    ["busy*", "busybox", true],
    ["busy*", "user/busybox", false],
    ["*/busybox", "user/busybox", true],
    ["b?sybox:[0-9]", "busybox:1", true],
    ["b[^a-t]sybox", "busybox", true],
    ["a.b", "axb", false],
    ["a\\*", "a*", true],
  ])("pattern %s on %s is %p", (pattern, text, wanted) => {
    expect(matchesPattern(pattern, text)).toBe(wanted);
  });

  test.each(["[", "a\\", "[z-a]"])("pattern %s is refused", (pattern) => {
    expect(() => matchesPattern(pattern, "a")).toThrow(/syntax error in pattern/);
  });
});
