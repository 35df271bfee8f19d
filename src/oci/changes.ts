import { NaruError, parseDurationNs } from "../base/mod.ts";
import type { ContainerConfig, HealthConfig } from "../spec/mod.ts";

/**
 * Applies Dockerfile instructions to a configuration, as `import` and `commit` take them in
 * `changes`. Throws invalid_argument that names the line. @see Dockerfile reference
 */
export function applyChanges(config: ContainerConfig, changes: readonly string[]): ContainerConfig {
  const result: ContainerConfig = structuredClone(config);
  const lines = changes.flatMap((change) => joinLines(change));
  for (const [index, line] of lines.entries()) {
    const match = /^([A-Za-z]+)(?:\s+([\s\S]*))?$/.exec(line);
    const name = match?.[1] ?? line;
    const apply = INSTRUCTIONS[name.toUpperCase()];
    if (match === null || apply === undefined) {
      // The words of Docker, which names no line here.
      const message = `${name.toLowerCase().slice(0, 60)} is not a valid change command`;
      throw new NaruError("invalid_argument", message, { line: index + 1 });
    }
    const rest = (match[2] ?? "").trim();
    const fail: Fail = (what) =>
      new NaruError(
        "invalid_argument",
        `changes line ${index + 1}: ${name.toUpperCase()} ${what}`,
        {
          line: index + 1,
        },
      );
    if (rest === "") throw fail("requires an argument");
    apply(result, rest, fail);
  }
  return result;
}

type Fail = (what: string) => NaruError;
type Instruction = (config: ContainerConfig, rest: string, fail: Fail) => void;

const SHELL: readonly string[] = ["/bin/sh", "-c"];
const SECONDS_MAX_NS = 2 ** 53 - 1;

const INSTRUCTIONS: Readonly<Record<string, Instruction>> = {
  CMD(config, rest) {
    config.Cmd = execForm(rest) ?? [...(config.Shell ?? SHELL), rest];
  },
  ENTRYPOINT(config, rest) {
    const exec = execForm(rest);
    config.Entrypoint = exec === undefined ? [...(config.Shell ?? SHELL), rest] : exec;
    if (exec?.length === 0) config.Entrypoint = null;
  },
  ENV(config, rest, fail) {
    const env = [...(config.Env ?? [])];
    for (const [key, value] of pairsOf(rest, fail)) {
      const at = env.findIndex((entry) => entry.startsWith(`${key}=`));
      if (at === -1) env.push(`${key}=${value}`);
      else env[at] = `${key}=${value}`;
    }
    config.Env = env;
  },
  EXPOSE(config, rest, fail) {
    config.ExposedPorts ??= {};
    for (const word of wordsOf(rest, fail)) {
      const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
      const first = Number(match?.[1]);
      const last = Number(match?.[2] ?? match?.[1]);
      if (match === null || first > last || last > 65_535) {
        throw fail(`has an invalid containerPort: ${word}`);
      }
      for (let port = first; port <= last; port += 1) {
        config.ExposedPorts[`${port}/${(match[3] ?? "tcp").toLowerCase()}`] = {};
      }
    }
  },
  LABEL(config, rest, fail) {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairsOf(rest, fail)) };
  },
  ONBUILD(config, rest, fail) {
    const trigger = rest.split(/\s/, 1)[0]?.toUpperCase();
    if (trigger === "ONBUILD") throw fail("may not be chained");
    if (trigger === "FROM" || trigger === "MAINTAINER") throw fail(`does not take ${trigger}`);
    config.OnBuild = [...(config.OnBuild ?? []), rest];
  },
  STOPSIGNAL(config, rest, fail) {
    if (!/^(?:\d{1,2}|(?:SIG)?[A-Z][A-Z0-9+-]*)$/i.test(rest))
      throw fail(`has an invalid signal: ${rest}`);
    config.StopSignal = rest;
  },
  USER(config, rest, fail) {
    if (/\s/.test(rest)) throw fail("requires exactly one argument");
    config.User = rest;
  },
  VOLUME(config, rest, fail) {
    const paths = execForm(rest) ?? wordsOf(rest, fail);
    config.Volumes = { ...config.Volumes };
    for (const path of paths) {
      if (path.trim() === "") throw fail("specified volume can not be an empty string");
      config.Volumes[path.trim()] = {};
    }
  },
  WORKDIR(config, rest) {
    const base = config.WorkingDir === "" ? "/" : config.WorkingDir;
    const parts = (rest.startsWith("/") ? rest : `${base}/${rest}`).split("/");
    const clean: string[] = [];
    for (const part of parts) {
      if (part === "..") clean.pop();
      else if (part !== "" && part !== ".") clean.push(part);
    }
    config.WorkingDir = `/${clean.join("/")}`;
  },
  HEALTHCHECK(config, rest, fail) {
    config.Healthcheck = healthOf(rest, config.Shell ?? SHELL, fail);
  },
};

function healthOf(rest: string, shell: readonly string[], fail: Fail): HealthConfig {
  const health: HealthConfig = {};
  let text = rest;
  for (;;) {
    const option = /^--([a-z-]+)=(\S+)(?:\s+|$)/.exec(text);
    if (option === null) break;
    const [whole, name, value = ""] = option;
    if (name === "retries") {
      if (!/^\d{1,6}$/.test(value)) throw fail(`--retries is not a number: ${value}`);
      health.Retries = Number(value);
    } else {
      const field = HEALTH_TIMES[name ?? ""];
      if (field === undefined) throw fail(`has an unknown flag: --${name}`);
      const durationNs = parseDurationNs(value);
      if (durationNs === undefined || durationNs < 0 || durationNs > SECONDS_MAX_NS) {
        throw fail(`--${name} is not a duration: ${value}`);
      }
      health[field] = durationNs;
    }
    text = text.slice(whole.length);
  }
  const command = text.trim();
  if (/^NONE$/i.test(command)) return { Test: ["NONE"] };
  const match = /^CMD\s+([\s\S]+)$/i.exec(command);
  if (match === null) throw fail("takes NONE or CMD with a command");
  const exec = execForm(match[1] as string);
  health.Test = exec === undefined ? ["CMD-SHELL", match[1] as string] : ["CMD", ...exec];
  if (shell !== SHELL && exec === undefined) health.Test = ["CMD", ...shell, match[1] as string];
  return health;
}

const HEALTH_TIMES: Readonly<
  Record<string, "Interval" | "Timeout" | "StartPeriod" | "StartInterval">
> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
};

/** A JSON list of texts, or undefined: then it is the shell form. */
function execForm(rest: string): string[] | undefined {
  if (!rest.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(rest);
    const isList = Array.isArray(value) && value.every((word) => typeof word === "string");
    return isList ? (value as string[]) : undefined;
  } catch {
    return undefined;
  }
}

/** `A=1 B="two words"`, or the old form `A one two`. */
function pairsOf(rest: string, fail: Fail): [string, string][] {
  const words = wordsOf(rest, fail);
  if (!(words[0] ?? "").includes("=")) {
    const match = /^(\S+)\s+([\s\S]+)$/.exec(rest);
    if (match === null) throw fail("must have two arguments");
    return [[match[1] as string, match[2] as string]];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals === -1) throw fail(`can't find = in "${word}": must be of the form: name=value`);
    if (equals === 0) throw fail("names can not be blank");
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** Words at blanks, with quotes and backslashes taken away. */
function wordsOf(rest: string, fail: Fail): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < rest.length; at += 1) {
    const character = rest[at] as string;
    if (character === "\\" && quote !== "'" && at + 1 < rest.length) {
      at += 1;
      word = (word ?? "") + rest[at];
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== "") throw fail("has a quote that does not end");
  if (word !== undefined) words.push(word);
  return words;
}

/** Lines of one change: a backslash at the end continues, blank ones and comments are left out. */
function joinLines(change: string): string[] {
  return change
    .replace(/\\[ \t]*\r?\n/g, " ")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}
