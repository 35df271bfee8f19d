/** A bug in naru. For what the world does wrong throw a NaruError instead. */
export class AssertionError extends Error {
  override readonly name: string = "AssertionError";
}

/** Throws AssertionError unless `condition` holds. Stays in production code. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the default branch of a switch over a union: fails to compile when a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unexpected value ${JSON.stringify(value)}`);
}
