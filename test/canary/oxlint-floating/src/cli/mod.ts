async function work(): Promise<void> {
  await Bun.sleep(1);
}

export function greet(name: string): string {
  work();
  return name;
}
