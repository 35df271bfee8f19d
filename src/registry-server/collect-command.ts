import { existsSync } from "node:fs";
import { join } from "node:path";
import { NaruError, systemClock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { openAccess } from "./access.ts";
import { askServer } from "./control.ts";
import type { GarbageLine } from "./garbage.ts";
import { openRegistry } from "./registry.ts";
import { noRules } from "./rules.ts";
import { FileRules } from "./rules-file.ts";
import type { CollectFlags } from "./serve-flags.ts";

/**
 * `naru registry gc`: asks the server of the root when one runs, which knows what pushes need; else
 * opens the root itself.
 */
export async function collectCommand(flags: CollectFlags, logger: Logger): Promise<void> {
  const asked = await askServer(flags.root, flags);
  if (asked !== undefined) return await print(asked, flags);
  if (!existsSync(join(flags.root, "registry.db"))) {
    throw new NaruError("not_found", `${flags.root} is not the root of a registry`);
  }
  const registry = await openRegistry({
    ...{ root: flags.root, access: openAccess, leaseMs: flags.leaseMs, isServed: false },
    rules: flags.rules === "" ? noRules : new FileRules(flags.rules),
    ...{ clock: systemClock, logger, events: () => ({ emit: () => undefined }) },
  });
  try {
    await print(registry.collect(flags.dryRun), flags);
  } finally {
    await registry.close();
  }
}

async function print(lines: AsyncIterable<GarbageLine>, flags: CollectFlags): Promise<void> {
  let freedBytes = 0;
  for await (const one of lines) {
    freedBytes += one.freedBytes;
    const { verdict, kind, name, reason } = one;
    const text = `${verdict.padEnd(6)}  ${kind.padEnd(8)}  ${name}  (${reason})`;
    const isTold = flags.json || flags.dryRun || verdict === "remove";
    if (isTold) process.stdout.write(`${flags.json ? JSON.stringify(one) : text}\n`);
  }
  if (flags.json) return;
  const verb = flags.dryRun ? "would be given back" : "given back";
  process.stdout.write(`${freedBytes} bytes ${verb}\n`);
}
