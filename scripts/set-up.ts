import { hostLacks, type Lack, settleHybridCgroups } from "./host.ts";
import { installPackages, isDebian, missingPackages } from "./packages.ts";

export interface SetUpOptions {
  /** Without these nothing works. */
  readonly required: readonly string[];
  /** With these more can be tested: their absence is said and survived. */
  readonly optional?: readonly string[];
}

/**
 * Brings this host as far as packages and mounts can. Returns what it lacks after that: empty means
 * that an engine can run here. Does nothing that was done before.
 */
export async function setUp(options: SetUpOptions): Promise<readonly Lack[]> {
  const optional = options.optional ?? [];
  if (process.platform !== "linux") return await hostLacks();
  if (process.getuid?.() !== 0) {
    return [...(await hostLacks()), ...(await packageLacks(options.required))];
  }
  if (!isDebian()) {
    const missing = ["crun", "conmon", "nft", "ip"].filter((name) => Bun.which(name) === null);
    const remedy = "install it with this distribution's own tools (only Debian's are known here)";
    const lacks = missing.map((name): Lack => ({ what: `the program ${name}`, remedy }));
    return lacks.length > 0 ? lacks : await settled();
  }
  const required = await missingPackages(options.required);
  if (required.length > 0) {
    say(`installing Debian packages: ${required.join(" ")}`);
    try {
      await installPackages(required);
    } catch (error) {
      say(String(error));
      return await packageLacks(options.required);
    }
  }
  for (const name of await missingPackages(optional)) {
    say(`installing the Debian package ${name}`);
    try {
      await installPackages([name]);
    } catch (error) {
      say(`could not install ${name}; what needs it is skipped\n${String(error)}`);
    }
  }
  return await settled();
}

async function packageLacks(packages: readonly string[]): Promise<readonly Lack[]> {
  if (!isDebian()) return [];
  const missing = (await missingPackages(packages)).join(" ");
  if (missing === "") return [];
  const remedy = `as root: apt-get update && apt-get install ${missing}`;
  return [{ what: `Debian packages: ${missing}`, remedy }];
}

async function settled(): Promise<readonly Lack[]> {
  const lacks = await hostLacks();
  if (lacks.length > 0) return lacks;
  for (const line of await settleHybridCgroups()) say(line);
  return [];
}

/** What is missing and how to get it, for a person. */
export function describeLacks(lacks: readonly Lack[]): string {
  const items = lacks.map((lack) => `  - ${lack.what}\n      ${lack.remedy}`);
  return `this host lacks what naru needs:\n${items.join("\n")}`;
}

/** Progress of the set-up, on stderr. */
export function say(message: string): void {
  process.stderr.write(`naru: ${message}\n`);
}
