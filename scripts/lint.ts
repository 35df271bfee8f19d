/** `npm run lint [gate...]`: runs the gates and fails when one of them does. */
import { join } from "node:path";
import { GATES } from "./gates.ts";

const root: string = join(import.meta.dir, "..");
const wanted: readonly string[] = process.argv.slice(2);
const unknown = wanted.filter((name) => !GATES.some((gate) => gate.name === name));
if (unknown.length > 0) {
  console.error(
    `no such gate: ${unknown.join(", ")}; there are ${GATES.map((g) => g.name).join(", ")}`,
  );
  process.exit(2);
}

let failed = 0;
for (const gate of GATES) {
  if (wanted.length > 0 && !wanted.includes(gate.name)) continue;
  const result = await gate.run(root);
  const passed = result.exitCode === 0;
  if (!passed) failed += 1;
  if (!passed) process.stdout.write(result.output);
  const how = result.timedOut ? "took too long" : passed ? "ok" : "FAILED";
  console.log(`${gate.name}: ${how} (${(result.durationMs / 1000).toFixed(1)} s)`);
}
process.exitCode = failed > 0 ? 1 : 0;
