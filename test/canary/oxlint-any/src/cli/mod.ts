export function greet(name: any): string {
  return String(name);
}
