import { NaruError } from "../base/mod.ts";
import type { ContainerConfig, HealthConfig } from "../spec/mod.ts";

/**
 * A container's configuration: what was asked for, filled up with what the image says. The rules
 * are Docker's: a given Entrypoint drops the image's Cmd, `[""]` clears the Entrypoint, variables
 * and labels are joined by name with the request winning. Throws invalid_argument without a command.
 */
export function mergeConfig(asked: ContainerConfig, image: ContainerConfig): ContainerConfig {
  const { entrypoint, cmd } = mergeCommand(asked, image);
  const merged: ContainerConfig = {
    ...asked,
    User: asked.User === "" ? image.User : asked.User,
    Env: mergeEnv(asked.Env ?? [], image.Env ?? []),
    Cmd: cmd,
    Entrypoint: entrypoint,
    WorkingDir: asked.WorkingDir === "" ? image.WorkingDir : asked.WorkingDir,
    Volumes: mergeKeys(asked.Volumes, image.Volumes),
    Labels: { ...image.Labels, ...asked.Labels },
  };
  const ports = mergeKeys(asked.ExposedPorts, image.ExposedPorts);
  if (ports !== null) merged.ExposedPorts = ports;
  const stopSignal = orElse(asked.StopSignal, image.StopSignal);
  if (stopSignal !== "") merged.StopSignal = stopSignal;
  const health = mergeHealth(asked.Healthcheck, image.Healthcheck);
  if (health !== null) merged.Healthcheck = health;
  return merged;
}

function orElse(text: string | undefined, fallback: string | undefined): string {
  return text === undefined || text === "" ? (fallback ?? "") : text;
}

function mergeCommand(
  asked: ContainerConfig,
  image: ContainerConfig,
): { entrypoint: string[] | null; cmd: string[] | null } {
  const given = asked.Entrypoint;
  let cmd = asked.Cmd;
  let entrypoint = given;
  if (given === null || given.length === 0) {
    if (cmd === null || cmd.length === 0) cmd = image.Cmd;
    if (given === null) entrypoint = image.Entrypoint;
  }
  if (entrypoint?.length === 1 && entrypoint[0] === "") entrypoint = null;
  if ((entrypoint?.length ?? 0) === 0 && (cmd?.length ?? 0) === 0) {
    throw new NaruError("invalid_argument", "No command specified");
  }
  return { entrypoint, cmd };
}

/** Variables asked for first, then those of the image that were not named. */
function mergeEnv(asked: readonly string[], image: readonly string[]): string[] {
  const names = new Set(asked.map(nameOf));
  return [...asked, ...image.filter((variable) => !names.has(nameOf(variable)))];
}

function nameOf(variable: string): string {
  return variable.split("=", 1)[0] as string;
}

type KeySet = Record<string, Record<string, never>>;

function mergeKeys(
  asked: KeySet | null | undefined,
  image: KeySet | null | undefined,
): KeySet | null {
  const merged = { ...image, ...asked };
  return Object.keys(merged).length === 0 ? null : merged;
}

function mergeHealth(
  asked: HealthConfig | null | undefined,
  image: HealthConfig | null | undefined,
): HealthConfig | null {
  if (asked === null || asked === undefined) return image ?? null;
  if (image === null || image === undefined) return asked;
  const pick = <K extends keyof HealthConfig>(key: K): Pick<HealthConfig, K> => {
    const value = asked[key];
    const empty =
      value === undefined ||
      value === null ||
      value === 0 ||
      (Array.isArray(value) && value.length === 0);
    const chosen = empty ? image[key] : value;
    return (chosen === undefined ? {} : { [key]: chosen }) as Pick<HealthConfig, K>;
  };
  return {
    ...pick("Test"),
    ...pick("Interval"),
    ...pick("Timeout"),
    ...pick("Retries"),
    ...pick("StartPeriod"),
    ...pick("StartInterval"),
  };
}

/** Entrypoint and Cmd as one command line. */
export function commandOf(config: ContainerConfig): readonly string[] {
  return [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
}
