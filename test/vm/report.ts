/** One test of Bun's JUnit report. */
export interface TestCase {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  apos: "'",
  gt: ">",
  lt: "<",
  quot: '"',
};

/** Every test of a whole report; none when it is torn, so that a crash is never taken for a pass. */
export function readTestCases(xml: string): readonly TestCase[] {
  if (!xml.includes("</testsuites>")) return [];
  const found = xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  return [...found].map(([, name = "", inside = ""]) => ({
    name: name.replaceAll(/&(\w+);/g, (whole, entity: string) => ENTITIES[entity] ?? whole),
    outcome: outcomeOf(inside),
  }));
}

function outcomeOf(inside: string): TestCase["outcome"] {
  if (/<skipped|<todo/.test(inside)) return "skipped";
  return inside.trim() === "" ? "passed" : "failed";
}
