import { errorMessage, NaruError } from "../../base/mod.ts";
import type { RuntimeSeccomp, RuntimeSyscallRule } from "../../spec/mod.ts";

/**
 * A seccomp profile as Docker's `--security-opt seccomp=FILE` takes it: the OCI form with
 * conditions that are resolved for each container. @see moby profiles/seccomp, containers/common
 */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly archMap?: readonly {
    readonly architecture: string;
    readonly subArchitectures: readonly string[];
  }[];
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly SeccompProfileRule[];
}

export interface SeccompProfileRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

export interface SeccompCondition {
  readonly arches?: readonly string[];
  readonly caps?: readonly string[];
  readonly minKernel?: string;
}

/** What the conditions are held against. */
export interface SeccompTarget {
  /** `process.arch`: x64, arm64, … */
  readonly arch: string;
  /** uname -r. */
  readonly kernelRelease: string;
  /** The container's capabilities, as `CAP_…`. */
  readonly capabilities: readonly string[];
}

const ARCHES: Readonly<Record<string, { goArch: string; seccompArch: string }>> = {
  x64: { goArch: "amd64", seccompArch: "SCMP_ARCH_X86_64" },
  arm64: { goArch: "arm64", seccompArch: "SCMP_ARCH_AARCH64" },
  riscv64: { goArch: "riscv64", seccompArch: "SCMP_ARCH_RISCV64" },
  s390x: { goArch: "s390x", seccompArch: "SCMP_ARCH_S390X" },
  ppc64: { goArch: "ppc64le", seccompArch: "SCMP_ARCH_PPC64LE" },
};

/** The profile with its conditions decided: what goes into config.json. */
export function resolveSeccomp(profile: SeccompProfile, target: SeccompTarget): RuntimeSeccomp {
  const arch = ARCHES[target.arch];
  const syscalls: RuntimeSyscallRule[] = [];
  for (const rule of profile.syscalls) {
    if (excluded(rule.excludes, target, arch?.goArch)) continue;
    if (!included(rule.includes, target, arch?.goArch)) continue;
    syscalls.push({
      names: [...rule.names],
      action: rule.action,
      ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
      ...(rule.args === undefined || rule.args.length === 0
        ? {}
        : { args: rule.args.map((argument) => ({ ...argument })) }),
    });
  }
  const mapped = profile.archMap?.find((entry) => entry.architecture === arch?.seccompArch);
  const architectures =
    mapped === undefined
      ? [...(profile.architectures ?? [])]
      : [mapped.architecture, ...mapped.subArchitectures];
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(architectures.length === 0 ? {} : { architectures }),
    ...(profile.flags === undefined || profile.flags.length === 0
      ? {}
      : { flags: [...profile.flags] }),
    syscalls,
  };
}

function excluded(
  condition: SeccompCondition | undefined,
  target: SeccompTarget,
  goArch: string | undefined,
): boolean {
  if (condition === undefined) return false;
  if (goArch !== undefined && condition.arches?.includes(goArch) === true) return true;
  if (condition.caps?.some((name) => target.capabilities.includes(name)) === true) return true;
  return (
    condition.minKernel !== undefined && kernelAtLeast(target.kernelRelease, condition.minKernel)
  );
}

function included(
  condition: SeccompCondition | undefined,
  target: SeccompTarget,
  goArch: string | undefined,
): boolean {
  if (condition === undefined) return true;
  const { arches, caps, minKernel } = condition;
  if (arches !== undefined && arches.length > 0 && !arches.includes(goArch ?? "")) return false;
  if (caps?.every((name) => target.capabilities.includes(name)) === false) return false;
  return minKernel === undefined || kernelAtLeast(target.kernelRelease, minKernel);
}

/** Compares the first two numbers of releases like `6.1.0-18-amd64`. */
export function kernelAtLeast(release: string, wanted: string): boolean {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** Largest profile that is read: Docker's own has 13 KB. */
export const SECCOMP_PROFILE_BYTES_MAX: number = 1024 * 1024;

/**
 * Reads a user's profile. Throws invalid_argument naming the field that is wrong. `name` (one
 * call, the older form) and `names` are both taken, not both at once.
 */
export function parseSeccompProfile(text: string): SeccompProfile {
  if (text.length > SECCOMP_PROFILE_BYTES_MAX) throw bad("profile is over 1 MiB");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw bad(errorMessage(cause));
  }
  const root = object(json, "profile");
  if (root["listenerPath"] !== undefined && root["listenerPath"] !== "") {
    throw bad("listenerPath is not supported");
  }
  if (root["architectures"] && root["archMap"]) {
    throw bad(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  const archMap = list(root["archMap"], "archMap").map((entry) => {
    const row = object(entry, "archMap");
    return {
      architecture: string(row["architecture"], "archMap.architecture"),
      subArchitectures: strings(row["subArchitectures"], "archMap.subArchitectures"),
    };
  });
  const architectures = strings(root["architectures"], "architectures");
  const flags = strings(root["flags"], "flags");
  return {
    defaultAction: action(root["defaultAction"], "defaultAction"),
    ...errno(root["defaultErrnoRet"], "defaultErrnoRet"),
    ...(archMap.length === 0 ? {} : { archMap }),
    ...(architectures.length === 0 ? {} : { architectures }),
    ...(flags.length === 0 ? {} : { flags }),
    syscalls: list(root["syscalls"], "syscalls").map(parseRule),
  };
}

function parseRule(value: unknown, index: number): SeccompProfileRule {
  const at = `syscalls[${index}]`;
  const row = object(value, at);
  const single = row["name"] === undefined ? "" : string(row["name"], `${at}.name`);
  const names = strings(row["names"], `${at}.names`);
  if (single !== "" && names.length > 0) throw bad(`${at}: both 'name' and 'names' are specified`);
  const errnoRet = errno(row["errnoRet"], `${at}.errnoRet`).defaultErrnoRet;
  const args = list(row["args"], `${at}.args`).map((entry, position) =>
    parseArgument(entry, `${at}.args[${position}]`),
  );
  const includes = condition(row["includes"], `${at}.includes`);
  const excludes = condition(row["excludes"], `${at}.excludes`);
  return {
    names: single === "" ? names : [single],
    action: action(row["action"], `${at}.action`),
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args.length === 0 ? {} : { args }),
    ...(includes === undefined ? {} : { includes }),
    ...(excludes === undefined ? {} : { excludes }),
  };
}

const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"].map((op) => `SCMP_CMP_${op}`);
const ACTIONS = [
  ...["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "TRACE", "TRAP"],
].map((name) => `SCMP_ACT_${name}`);
const ARGUMENTS_MAX = 6; // registers of a system call

function parseArgument(value: unknown, at: string): SeccompArgument {
  const row = object(value, at);
  const index = number(row["index"] ?? 0, `${at}.index`);
  if (index >= ARGUMENTS_MAX) throw bad(`${at}.index: want 0 to 5`);
  const op = string(row["op"], `${at}.op`);
  if (!OPERATORS.includes(op)) throw bad(`${at}.op: unknown operator "${op}"`);
  const valueTwo = number(row["valueTwo"] ?? 0, `${at}.valueTwo`);
  return { index, value: number(row["value"] ?? 0, `${at}.value`), valueTwo, op };
}

function condition(value: unknown, at: string): SeccompCondition | undefined {
  if (value === undefined || value === null) return undefined;
  const row = object(value, at);
  const arches = strings(row["arches"], `${at}.arches`);
  const caps = strings(row["caps"], `${at}.caps`);
  const minKernel = row["minKernel"];
  if (minKernel !== undefined && !/^\d+\.\d+$/.test(string(minKernel, `${at}.minKernel`))) {
    throw bad(`${at}.minKernel: want two numbers like 4.8`);
  }
  return {
    ...(arches.length === 0 ? {} : { arches }),
    ...(caps.length === 0 ? {} : { caps }),
    ...(typeof minKernel === "string" ? { minKernel } : {}),
  };
}

function action(value: unknown, at: string): string {
  const name = string(value, at);
  if (!ACTIONS.includes(name)) throw bad(`${at}: unknown action "${name}"`);
  return name;
}

function errno(value: unknown, at: string): { defaultErrnoRet?: number } {
  return value === undefined || value === null ? {} : { defaultErrnoRet: number(value, at) };
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad(`${at}: want an object`);
  }
  return value as Record<string, unknown>;
}

function list(value: unknown, at: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad(`${at}: want an array`);
  return value;
}

function strings(value: unknown, at: string): string[] {
  return list(value, at).map((entry) => string(entry, at));
}

function string(value: unknown, at: string): string {
  if (typeof value !== "string") throw bad(`${at}: want a string`);
  return value;
}

function number(value: unknown, at: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw bad(`${at}: want a whole number from 0 on`);
  }
  return value;
}

function bad(message: string): NaruError {
  return new NaruError("invalid_argument", `decoding seccomp profile failed: ${message}`);
}
