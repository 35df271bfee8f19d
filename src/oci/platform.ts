import { NaruError } from "../base/mod.ts";
import type { Platform } from "../spec/mod.ts";

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  i386: "386",
  ia32: "386",
  armhf: "arm",
};

/** The platform of this machine in OCI's words. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/**
 * `os[/arch[/variant]]`, or an architecture alone; empty is the host's. Throws invalid_argument.
 */
export function parsePlatform(text: string): Platform {
  if (text === "") return hostPlatform();
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9][a-z0-9_.-]*$/.test(part))) {
    throw new NaruError("invalid_argument", `invalid platform "${text.slice(0, 100)}"`);
  }
  const [os = "", architecture = hostPlatform().architecture, variant] = parts;
  const normal = ARCHITECTURES[architecture] ?? architecture;
  return { os, architecture: normal, ...(variant === undefined ? {} : { variant }) };
}

/** `linux/arm64/v8`, as parsePlatform reads it. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

/** How well `candidate` suits `wanted`: 0 not at all, more is better. */
export function platformScore(wanted: Platform, candidate: Platform): number {
  const architecture = ARCHITECTURES[candidate.architecture] ?? candidate.architecture;
  if (candidate.os !== wanted.os || architecture !== wanted.architecture) return 0;
  const given = candidate.variant ?? defaultVariant(architecture);
  const asked = wanted.variant ?? defaultVariant(architecture);
  if (given === asked) return 3;
  // Older arm variants run on newer machines; amd64/v2 and above need not run on this one.
  if (wanted.variant === undefined) return architecture === "amd64" ? 1 : 2;
  return 0;
}

function defaultVariant(architecture: string): string {
  if (architecture === "arm64") return "v8";
  return architecture === "arm" ? "v7" : "";
}
