/** True for what would end a header or smuggle another one into a request. */
export function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/**
 * The target of the Link header's `rel="next"`, or undefined. @see RFC 8288; distribution-spec
 * "Listing Tags"
 */
export function nextLink(header: string | undefined): string | undefined {
  if (header === undefined || header.length > LINK_CHARACTERS_MAX) return undefined;
  for (const match of header.matchAll(/<([^<>]*)>([^<]*)/g)) {
    const [, target = "", parameters = ""] = match;
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters)) return target;
  }
  return undefined;
}

const LINK_CHARACTERS_MAX = 16_384; // a server's own limit for a header line

/** Seconds of a Retry-After header (a number or a date), in ms from now; undefined when unreadable. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const atMs = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

/** `bytes 0-99/100`, inclusive; the size is undefined for `*`. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly sizeBytes: number | undefined;
}

export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(header ?? "");
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (last < first) return undefined;
  return { first, last, sizeBytes: match[3] === "*" ? undefined : Number(match[3]) };
}
