import manifest from "../../../package.json" with { type: "json" };

export const NARU_VERSION: string = manifest.version;

/** What `--version` prints. */
export function versionLine(program: string): string {
  return program === "docker"
    ? `Docker version ${NARU_VERSION}, build naru\n`
    : `naru version ${NARU_VERSION}\n`;
}
