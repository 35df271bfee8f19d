import type { Command } from "../command.ts";

/** `Usage:  naru rm [OPTIONS] CONTAINER [CONTAINER...]` */
export function usageLine(program: string, command: Command): string {
  const options = command.flags.length > 0 ? " [OPTIONS]" : "";
  const usage = command.usage === "" ? "" : ` ${command.usage}`;
  return `Usage:  ${program} ${command.path}${options}${usage}`;
}
