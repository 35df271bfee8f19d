export type Name = string;

export function nameOf(text: string): Name {
  return text.length;
}
