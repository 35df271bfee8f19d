export function greet(name: string): string {
  new Worker(new URL("./some.worker.ts", import.meta.url)).terminate();
  return name;
}
