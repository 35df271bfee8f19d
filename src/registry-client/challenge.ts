/** One scheme of a WWW-Authenticate header. @see RFC 9110 section 11.6.1 */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const HEADER_CHARACTERS_MAX = 16_384; // servers' own limit for one header; real ones are below 1,000
const CHALLENGES_MAX = 16; // registries send one or two

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/y;
const SPACES = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;

/** A cursor over the header's text. */
class Reader {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** What `pattern` matches here, or "". */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  /** The content of a quoted string whose first quote is next; undefined when it never ends. */
  quoted(): string | undefined {
    let content = "";
    for (let at = this.at + 1; at < this.text.length; at += 1) {
      const character = this.text[at] ?? "";
      if (character === '"') {
        this.at = at + 1;
        return content;
      }
      if (character === "\\" && at + 1 < this.text.length) {
        at += 1;
        content += this.text[at] ?? "";
      } else content += character;
    }
    return undefined;
  }
}

/**
 * Reads a header with any number of challenges. What cannot be read ends the list: nothing is
 * guessed, and nothing throws.
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > HEADER_CHARACTERS_MAX) return challenges;
  const reader = new Reader(header);
  while (challenges.length < CHALLENGES_MAX) {
    reader.take(SEPARATORS);
    const scheme = reader.take(TOKEN).toLowerCase();
    if (scheme === "") return challenges;
    const parameters = new Map<string, string>();
    const whole = readParameters(reader, parameters);
    if (!whole) return challenges;
    challenges.push({ scheme, parameters });
  }
  return challenges;
}

/** False when the text is broken. Stops before the next scheme. */
function readParameters(reader: Reader, parameters: Map<string, string>): boolean {
  reader.take(SPACES);
  reader.take(TOKEN68); // credentials without a name, as Negotiate has them
  for (;;) {
    const start = reader.at;
    reader.take(SEPARATORS);
    const name = reader.take(TOKEN).toLowerCase();
    if (name === "") return true;
    reader.take(SPACES);
    if (reader.text[reader.at] !== "=") {
      reader.at = start; // a scheme, not a parameter
      return true;
    }
    reader.at += 1;
    reader.take(SPACES);
    const value = reader.text[reader.at] === '"' ? reader.quoted() : reader.take(TOKEN);
    if (value === undefined) return false;
    if (!parameters.has(name)) parameters.set(name, value); // the first wins, as in RFC 9110 11.2
  }
}

/** What a registry's token service needs to know. */
export interface BearerChallenge {
  readonly realm: string;
  readonly service: string;
}

/** The challenge to answer: Bearer where there is one, else Basic, else undefined. */
export function pickChallenge(
  challenges: readonly Challenge[],
): "basic" | BearerChallenge | undefined {
  const bearer = challenges.find(
    ({ scheme, parameters }) => scheme === "bearer" && (parameters.get("realm") ?? "") !== "",
  );
  if (bearer !== undefined) {
    const { parameters } = bearer;
    return { realm: parameters.get("realm") ?? "", service: parameters.get("service") ?? "" };
  }
  return challenges.some(({ scheme }) => scheme === "basic") ? "basic" : undefined;
}
