type Kind = "a" | "b";

export function greet(name: string): string {
  const kind: Kind = name === "a" ? "a" : "b";
  switch (kind) {
    case "a":
      return "A";
  }
  return "";
}
