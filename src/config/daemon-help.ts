import type { DaemonOption } from "./daemon-option.ts";
import { SHOWN_OPTIONS } from "./daemon-options.ts";

const VALUE_NAME: Readonly<Record<DaemonOption["type"], string>> = {
  string: " string",
  boolean: "",
  integer: " int",
  list: " list",
  map: " key=value",
  runtimes: " name=path",
  ulimits: " name=soft[:hard]",
  mirrors: " host=url",
  pools: " base=subnet,size=bits",
  "network-options": " driver=option=value",
  proxies: "",
  object: " value",
};

/** The text of `naru daemon --help`. */
export function daemonHelp(program: string): string {
  const rows = SHOWN_OPTIONS.filter(({ flag }) => flag !== "").map((option) => {
    const short = option.short === undefined ? "    " : `-${option.short}, `;
    return [`  ${short}--${option.flag}${VALUE_NAME[option.type]}`, option.help] as const;
  });
  const widthMax = Math.max(...rows.map(([flag]) => flag.length));
  return [
    `Usage: ${program} [OPTIONS]`,
    "",
    "The engine: serves the Docker Engine API and runs containers, which outlive it.",
    "",
    "Options:",
    ...rows.map(([flag, help]) => `${flag.padEnd(widthMax)}   ${help}`),
    "",
    "Every option but --config-file and --validate may stand in the configuration file instead.",
    "",
  ].join("\n");
}
