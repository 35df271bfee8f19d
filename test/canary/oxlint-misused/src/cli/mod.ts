async function ready(): Promise<boolean> {
  return await Promise.resolve(false);
}

export function greet(name: string): string {
  if (ready()) return name;
  return "";
}
