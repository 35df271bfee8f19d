import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileTemplate } from "./evaluate.ts";

const DATA = {
  Names: "web",
  ID: "0123456789abcdef",
  Count: 3,
  Zero: 0,
  Empty: "",
  List: ["a", "b", "c"],
  Labels: { "com.a": "1", b: "2" },
  State: { Running: true, Pid: 42, Health: null },
  Mounts: [{ Source: "/a" }, { Source: "/b" }],
};

// What actions are made of, a little text, and ends that come too soon.
const TEMPLATE_CHARACTERS: readonly string[] = '{{}}|.$() if end range"`-=:a1'.split("");

// Each right side was checked against Go's text/template rules.
const CASES: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["{{.Names}}", "web"],
  ["{{ .Names }}:{{.Count}}", "web:3"],
  ["{{.State.Running}} {{.State.Pid}}", "true 42"],
  ["{{json .List}}", '["a","b","c"]'],
  ["{{json .Names}}", '"web"'],
  ['{{json "<a&b>"}}', '"\\u003ca\\u0026b\\u003e"'],
  ['{{join .List ","}}', "a,b,c"],
  ["{{.List}}", "[a b c]"],
  ["{{.Labels}}", "map[b:2 com.a:1]"],
  ["{{.Missing}}", "<no value>"],
  ['{{index .Labels "com.a"}}', "1"],
  ["{{index .List 1}}", "b"],
  ["{{(index .Mounts 1).Source}}", "/b"],
  ["{{len .List}} {{len .Names}}", "3 3"],
  ["{{upper .Names}}{{.Names | upper | lower}}", "WEBweb"],
  ["{{title .Names}}", "Web"],
  ['{{split "a/b" "/"}}', "[a b]"],
  ["{{truncate .ID 5}}", "01234"],
  ["{{pad .Names 1 2}}|", " web  |"],
  ["{{println .Names .Count}}", "web 3\n"],
  ['{{printf "%s-%05d-%q-%x" .Names .Count .Names 255}}', 'web-00003-"web"-ff'],
  ['{{printf "%-6s|%6s|%.1f" .Names .Names 1.25}}', "web   |   web|1.3"],
  ['{{.Names | printf "%s=%s" "n"}}', "n=web"],
  ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
  ["{{if .Empty}}a{{else if .Zero}}b{{else}}c{{end}}", "c"],
  ["{{if and .Count (eq .Names `web`)}}yes{{end}}", "yes"],
  ["{{if or .Zero .Empty}}yes{{else}}no{{end}}", "no"],
  ["{{if not .Zero}}yes{{end}}", "yes"],
  ["{{eq .Names `x` `web`}} {{ne .Count 3}} {{lt 1 2}} {{ge 2 2}}", "true false true true"],
  ["{{range .List}}[{{.}}]{{end}}", "[a][b][c]"],
  ["{{range $i, $x := .List}}{{$i}}{{$x}} {{end}}", "0a 1b 2c "],
  ["{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "b=2;com.a=1;"],
  ["{{range .Empty}}x{{else}}none{{end}}", "none"],
  ["{{range .List}}{{if eq . `b`}}{{break}}{{end}}{{.}}{{end}}", "a"],
  ["{{range .List}}{{if eq . `b`}}{{continue}}{{end}}{{.}}{{end}}", "ac"],
  ["{{with .State}}{{.Pid}} {{$.Names}}{{end}}", "42 web"],
  ["{{with .Empty}}x{{else}}y{{end}}", "y"],
  ["{{$x := .Names}}{{if true}}{{$x = `y`}}{{end}}{{$x}}", "y"],
  ["a  {{- .Count -}}  b", "a3b"],
  ["a{{/* note */}}b", "ab"],
  ["{{slice .ID 0 4}}", "0123"],
  ['{{"tab\\there"}}', "tab\there"],
  ["{{`raw\\n`}}", "raw\\n"],
];

describe("templates", () => {
  for (const [source, wanted] of CASES) {
    test(source, () => expect(compileTemplate(source).apply(DATA)).toBe(wanted));
  }

  for (const source of [
    "{{",
    "{{.Names",
    "{{if .X}}",
    "{{end}}",
    "{{nosuch}}",
    "{{$x}}",
    "{{|}}",
  ]) {
    test(`${source} is refused`, () => {
      expect(() => compileTemplate(source).apply(DATA)).toThrow("template parsing error");
    });
  }

  test("a field of nothing is an error, not an empty text", () => {
    expect(() => compileTemplate("{{.State.Health.Status}}").apply(DATA)).toThrow("nil pointer");
  });

  test("any text ends with a result or a TemplateError", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...TEMPLATE_CHARACTERS) }), (source) => {
        try {
          compileTemplate(source).apply(DATA);
        } catch (error) {
          expect((error as Error).message).toStartWith("template parsing error");
        }
      }),
      { numRuns: 500 },
    );
  });
});
