import type { Command } from "../command.ts";
import { text } from "../flags/flag.ts";

const MARKS = { ok: "ok", note: "note", problem: "PROBLEM" } as const;
const MARK_WIDTH: number = Math.max(...Object.values(MARKS).map((mark) => mark.length));

export const networkDoctorCommand: Command = {
  path: "network doctor",
  usage: "CONTAINER [TARGET]",
  summary: "Say why a container is reached or not: from outside, or by another container",
  flags: [text("format", "", "Format output: 'json' for one object a line")],
  minArgs: 1,
  maxArgs: 2,
  examples: ["network doctor web", "network doctor web db"],
  async run({ context, values, args }) {
    const [container = "", target = ""] = args;
    const { stdout } = context.io;
    const engine = await context.engine();
    const findings = await engine.networks.doctor(container, target);
    for (const finding of findings) {
      if (values.string("format") === "json") {
        stdout.print(`${JSON.stringify(finding)}\n`);
        continue;
      }
      stdout.print(`${MARKS[finding.Level].padEnd(MARK_WIDTH)}  ${finding.Text}\n`);
      if (finding.Hint !== "") stdout.print(`${" ".repeat(MARK_WIDTH)}  -> ${finding.Hint}\n`);
    }
    return findings.some(({ Level }) => Level === "problem") ? 1 : 0;
  },
};
