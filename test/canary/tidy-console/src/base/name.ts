export type Name = string;

export function nameOf(text: string): Name {
  console.log(text);
  return text.trim();
}
