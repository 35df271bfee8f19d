import { errorMessage } from "../../src/base/mod.ts";

/*
 * `await expect(promise).rejects` is a plain void to bun:test's types, which the gate against
 * awaiting nothing refuses; these two say the same with values.
 */

/** What `promise` is rejected with; fails the test when it resolves. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection, and the promise resolved");
}

/** The message of what `promise` is rejected with. */
export async function rejectionMessage(promise: PromiseLike<unknown>): Promise<string> {
  return errorMessage(await rejection(promise));
}
