import { NaruError } from "../../base/mod.ts";

const PORT_KEY = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i;
const PORT_MAX = 65_535;

/** Checks a key like `80/tcp`, `80` or `8000-8010/udp`. Throws invalid_argument naming it. */
export function checkPortKey(key: string, path: string): void {
  const match = PORT_KEY.exec(key);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match !== null && first <= last && last <= PORT_MAX) return;
  throw new NaruError(
    "invalid_argument",
    `${path}: invalid port specification: "${key.slice(0, 60)}"`,
  );
}
