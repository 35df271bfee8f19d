import { NaruError } from "../../base/mod.ts";

export type Family = "ip" | "ip6";

/** Applies a ruleset as one transaction: all of it or nothing. Throws internal with nft's first line. */
export async function applyRuleset(ruleset: string): Promise<void> {
  const { exitCode, stderr } = await runNft(["-f", "-"], ruleset);
  if (exitCode === 0) return;
  const reason = stderr.split("\n")[0] ?? "";
  throw new NaruError("internal", `nft refused the rules: ${reason}`, { exitCode });
}

/** The text of a table, set or chain with handles, or undefined when there is none. */
export async function listRules(
  kind: "table" | "set" | "chain",
  family: Family | "inet",
  ...name: readonly string[]
): Promise<string | undefined> {
  const { exitCode, stdout } = await runNft(["-a", "list", kind, family, ...name], "");
  return exitCode === 0 ? stdout : undefined;
}

/** All base chains of a hook and what else nft says of chains, as it prints them. */
export async function listChains(): Promise<string> {
  return (await runNft(["-a", "list", "chains"], "")).stdout;
}

async function runNft(
  args: readonly string[],
  input: string,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  let child: Bun.Subprocess<Uint8Array, "pipe", "pipe">;
  try {
    child = Bun.spawn(["nft", ...args], {
      stdin: Buffer.from(input),
      stdout: "pipe",
      stderr: "pipe",
    });
  } catch (cause) {
    throw new NaruError(
      "unsupported",
      "cannot run nft: install the package nftables",
      {},
      { cause },
    );
  }
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}
