export type Name = string;

export function nameOf(text: string): Name {
  return text.trim();
}

export function nobodyCallsThis(): number {
  return 1;
}
