/** What a flag takes. `list` may be given several times; `optional` works with and without `=value`. */
export type FlagKind = "bool" | "string" | "list" | "int";

/** One flag, as data: parsing, help and completion read the same table. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: FlagKind;
  /** The word that help shows for the value: `bytes`, `duration`. */
  readonly value?: string;
  readonly help: string;
  /** Shown in help; also what a read of an absent flag gives. */
  readonly preset?: string | boolean;
  /** Further long names that help does not list. */
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
  /** Heading in help. */
  readonly group?: string;
}

export function bool(name: string, short: string, help: string, more: Partial<Flag> = {}): Flag {
  return flag("bool", name, short, help, more);
}

export function text(name: string, short: string, help: string, more: Partial<Flag> = {}): Flag {
  return flag("string", name, short, help, more);
}

export function list(name: string, short: string, help: string, more: Partial<Flag> = {}): Flag {
  return flag("list", name, short, help, more);
}

export function int(name: string, short: string, help: string, more: Partial<Flag> = {}): Flag {
  return flag("int", name, short, help, more);
}

function flag(
  kind: FlagKind,
  name: string,
  short: string,
  help: string,
  more: Partial<Flag>,
): Flag {
  return { name, kind, help, ...(short === "" ? {} : { short }), ...more };
}

/** The same flags under one heading of the help text. */
export function grouped(group: string, flags: readonly Flag[]): readonly Flag[] {
  return flags.map((one) => ({ ...one, group }));
}
