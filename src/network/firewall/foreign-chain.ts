import type { ForwardDrop } from "./contract.ts";
import { applyRuleset, type Family, listChains, listRules } from "./nft.ts";

/*
 * An accept of ours does not undo a drop in another table. Tools that drop forwarding by policy offer
 * a place to others: Docker the chain DOCKER-USER, ufw its chain of user rules, firewalld zones. Our
 * rules there carry our table's name as comment, so that exactly they are found again; what may not
 * come in is dropped by our own table all the same.
 */
interface Place {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
}

const PLACES: readonly Place[] = [
  { family: "ip", table: "filter", chain: "DOCKER-USER" },
  { family: "ip6", table: "filter", chain: "DOCKER-USER" },
  { family: "ip", table: "filter", chain: "ufw-user-forward" },
  { family: "ip6", table: "filter", chain: "ufw6-user-forward" },
];

/** Lets the links' own traffic past foreign policies, where there are any. Idempotent. */
export async function joinForeign(links: readonly string[], comment: string): Promise<void> {
  const listing = await listChains();
  for (const place of placesIn(listing)) {
    const chain = await listRules("chain", place.family, place.table, place.chain);
    const missing = links.filter((link) => !ownLines(chain ?? "", comment, link).length);
    if (missing.length > 0) await applyRuleset(accepts(place, missing, comment));
  }
  if (chainsOf(listing, "inet", "firewalld").length > 0) await setZone("add", links);
}

/** The inverse, for some links. Idempotent. */
export async function leaveForeign(links: readonly string[], comment: string): Promise<void> {
  const listing = await listChains();
  for (const place of placesIn(listing)) {
    const chain = await listRules("chain", place.family, place.table, place.chain);
    const handles = links.flatMap((link) => handlesIn(chain ?? "", comment, link));
    if (handles.length === 0) continue;
    const target = `${place.family} ${place.table} ${place.chain}`;
    await applyRuleset(handles.map((one) => `delete rule ${target} handle ${one}\n`).join(""));
  }
  if (chainsOf(listing, "inet", "firewalld").length > 0) await setZone("remove", links);
}

function accepts(place: Place, links: readonly string[], comment: string): string {
  const target = `${place.family} ${place.table} ${place.chain}`;
  return links
    .flatMap((link) => [
      `insert rule ${target} iifname "${link}" counter accept comment "${comment}"\n`,
      `insert rule ${target} oifname "${link}" counter accept comment "${comment}"\n`,
    ])
    .join("");
}

function placesIn(listing: string): readonly Place[] {
  return PLACES.filter(({ family, table, chain }) =>
    chainsOf(listing, family, table).includes(chain),
  );
}

/** Names of the chains of a table, in the text of `nft list chains`. */
export function chainsOf(listing: string, family: string, table: string): string[] {
  const names: string[] = [];
  let inTable = false;
  for (const line of listing.split("\n")) {
    const head = /^table (\S+) (\S+) \{/.exec(line);
    if (head !== null) inTable = head[1] === family && head[2] === table;
    const chain = /^\s+chain (\S+) \{/.exec(line)?.[1];
    if (inTable && chain !== undefined) names.push(chain);
  }
  return names;
}

/** Handles of the rules for `link` that carry the comment, in the text of `nft -a list chain`. */
export function handlesIn(chain: string, comment: string, link: string): number[] {
  return ownLines(chain, comment, link)
    .flatMap((line) => /# handle (\d+)$/.exec(line)?.[1] ?? [])
    .map(Number);
}

function ownLines(chain: string, comment: string, link: string): string[] {
  return chain
    .split("\n")
    .filter((line) => line.includes(`comment "${comment}"`) && line.includes(`"${link}"`));
}

const FIREWALLD_LIMIT_MS = 5_000; // it answers over D-Bus; when it hangs, doctor names the chain

/** At run time only: after a reload of firewalld the engine's next network change joins again. */
async function setZone(verb: "add" | "remove", links: readonly string[]): Promise<void> {
  const words = links.map((link) => `--${verb}-interface=${link}`);
  for (const word of words) {
    const child = spawnQuietly(["firewall-cmd", "--zone=trusted", word]);
    if (child === undefined) return;
    await child.exited;
  }
}

function spawnQuietly(argv: string[]): Bun.Subprocess | undefined {
  try {
    return Bun.spawn(argv, {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      timeout: FIREWALLD_LIMIT_MS,
    });
  } catch {
    return undefined; // rules of a firewalld that is not installed any more
  }
}

/** Chains that see forwarded packets and drop by policy; naru's own tables drop by rules. */
export async function forwardDrops(comment: string): Promise<readonly ForwardDrop[]> {
  const listing = await listChains();
  const joined = new Set<string>();
  for (const { family, table, chain } of placesIn(listing)) {
    const rules = await listRules("chain", family, table, chain);
    if ((rules ?? "").includes(`comment "${comment}"`)) joined.add(`${family} ${table}`);
  }
  return forwardDropsIn(listing).map(({ table, chain }) => ({
    chain: `${table} ${chain}`,
    joined: joined.has(table),
  }));
}

/** In the text of `nft list chains`. */
export function forwardDropsIn(
  listing: string,
): readonly { readonly table: string; readonly chain: string }[] {
  const found: { table: string; chain: string }[] = [];
  let [table, chain] = ["", ""];
  for (const line of listing.split("\n")) {
    const head = /^table (\S+ \S+) \{/.exec(line);
    if (head !== null) table = head[1] ?? "";
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (/hook forward\b.*policy drop/.test(line)) found.push({ table, chain });
  }
  return found;
}
