import { NaruError } from "../base/mod.ts";

/** What `--security-opt` asks for. */
export interface SecurityOptions {
  /** undefined: the daemon's default. */
  readonly noNewPrivileges: boolean | undefined;
  /** `unconfined`, the JSON of a profile (the client reads the file), or undefined for the default. */
  readonly seccomp: string | undefined;
  readonly apparmor: string | undefined;
  /** `systempaths=unconfined`: nothing masked, nothing read-only. */
  readonly systemPathsUnconfined: boolean;
}

/** Throws invalid_argument in Docker's words, unsupported for what this host does not do. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let noNewPrivileges: boolean | undefined;
  let seccomp: string | undefined;
  let apparmor: string | undefined;
  let systemPathsUnconfined = false;
  for (const option of options) {
    if (option === "no-new-privileges") {
      noNewPrivileges = true;
      continue;
    }
    // `:` is the older way to write `=`.
    const match = /^([a-z-]+)[=:](.*)$/s.exec(option);
    if (match === null) throw invalid(option, 1);
    const [, key, value = ""] = match;
    if (key === "no-new-privileges") {
      if (value !== "true" && value !== "false") throw invalid(option);
      noNewPrivileges = value === "true";
    } else if (key === "seccomp") seccomp = value === "builtin" ? undefined : value;
    else if (key === "apparmor") apparmor = value;
    else if (key === "systempaths" && value === "unconfined") systemPathsUnconfined = true;
    else if (key === "label") checkLabel(value);
    else throw invalid(option);
  }
  return { noNewPrivileges, seccomp, apparmor, systemPathsUnconfined };
}

/** `place`: 1 for no `key=value` at all, 2 for an unknown key or value, as Docker numbers them. */
function invalid(option: string, place: 1 | 2 = 2): NaruError {
  return new NaruError("invalid_argument", `invalid --security-opt ${place}: "${option}"`, {
    field: "SecurityOpt",
  });
}

/** Without SELinux there is nothing to label, and `disable` is what already is. */
function checkLabel(value: string): void {
  if (value === "disable") return;
  throw new NaruError(
    "unsupported",
    `HostConfig.SecurityOpt: label=${value} needs SELinux, which this engine does not drive`,
    { field: "SecurityOpt" },
  );
}
