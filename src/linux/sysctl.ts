import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { NaruError } from "../base/mod.ts";

/**
 * The file of a sysctl. The first separator decides, as for sysctl(8): `net.ipv4.ip_forward`, or
 * `net/ipv4/conf/eth0.100/rp_filter` where a name holds a dot (`net.ipv4.conf.eth0/100.rp_filter`
 * means the same). Throws invalid_argument.
 */
export function sysctlPath(name: string): string {
  const slashFirst = /^[^./]*\//.test(name);
  const parts = slashFirst
    ? name.split("/")
    : name.split(".").map((part) => part.replaceAll("/", "."));
  const bad = parts.some(
    (part) => part === "" || part === "." || part === ".." || part.includes("\0"),
  );
  if (bad || parts.length < 2) {
    throw new NaruError("invalid_argument", `invalid sysctl name "${name}"`);
  }
  return `/proc/sys/${parts.join("/")}`;
}

/** The value without the newline, or undefined when this kernel has none of that name. */
export function readSysctl(name: string): string | undefined {
  const path = sysctlPath(name);
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd() : undefined;
}

/** Writes unless it has that value; some hosts mount /proc/sys read-only. True when it wrote. */
export function writeSysctl(name: string, value: string): boolean {
  if (readSysctl(name) === value) return false;
  try {
    writeFileSync(sysctlPath(name), value);
    return true;
  } catch (error) {
    throw new NaruError(
      "unsupported",
      `cannot set sysctl ${name}`,
      { name, value },
      { cause: error },
    );
  }
}
