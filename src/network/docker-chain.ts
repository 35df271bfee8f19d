import { applyRuleset, listRules } from "./nft.ts";

/*
 * Where Docker has run, its FORWARD chain drops by policy, and no accept of ours elsewhere undoes
 * that. DOCKER-USER is the chain that Docker offers to others; our rules there carry our table's
 * name as comment, so that exactly they are found again.
 */
const CHAIN: readonly string[] = ["filter", "DOCKER-USER"];

/** Lets the bridge's own traffic past Docker's policy, where there is one. Idempotent. */
export async function joinDockerChain(bridge: string, table: string): Promise<void> {
  const chain = await listRules("chain", ...CHAIN);
  if (chain === undefined || chain.includes(`comment "${table}"`)) return;
  const target = CHAIN.join(" ");
  await applyRuleset(
    `insert rule ip ${target} iifname "${bridge}" counter accept comment "${table}"\n` +
      `insert rule ip ${target} oifname "${bridge}" ct state established,related counter accept comment "${table}"\n`,
  );
}

/** The inverse. Idempotent. */
export async function leaveDockerChain(table: string): Promise<void> {
  const chain = await listRules("chain", ...CHAIN);
  const handles = dockerChainHandles(chain ?? "", table);
  if (handles.length === 0) return;
  await applyRuleset(
    handles.map((handle) => `delete rule ip ${CHAIN.join(" ")} handle ${handle}\n`).join(""),
  );
}

/** Handles of the rules that carry `table` as comment, in the text of `nft -a list chain`. */
export function dockerChainHandles(chain: string, table: string): number[] {
  return chain
    .split("\n")
    .filter((line) => line.includes(`comment "${table}"`))
    .flatMap((line) => /# handle (\d+)$/.exec(line)?.[1] ?? [])
    .map(Number);
}
