import { NaruError } from "../../base/mod.ts";
import { bool, type Flag } from "./flag.ts";
import type { FlagValues } from "./flag-values.ts";

/** docker's flag of former days, on by default there too. */
export function contentTrustFlag(summary: string): Flag {
  return bool("disable-content-trust", "", summary, { hidden: true, preset: true });
}

/** Who asks for verified images must not get others. Throws unsupported. */
export function refuseContentTrust(values: FlagValues): void {
  if (values.bool("disable-content-trust")) return;
  throw new NaruError(
    "unsupported",
    "--disable-content-trust=false is not supported: the signatures of images are not verified",
  );
}
