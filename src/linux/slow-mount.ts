import { workerUrl } from "../base/mod.ts";
import type { MountRequest } from "./mount.ts";
import { type SyscallErrorRecord, syscallErrorFrom } from "./syscall-error.ts";

/**
 * mount(2) in a thread of its own, for file systems that wait for a disk or a server: nothing else
 * of the process waits with them. Throws SyscallError.
 */
export async function mountSlowly(request: MountRequest): Promise<void> {
  const worker = new Worker(workerUrl("linux/mount.worker.ts"));
  const { promise, resolve, reject } = Promise.withResolvers<SyscallErrorRecord | null>();
  worker.addEventListener("message", ({ data }) => resolve(data));
  worker.addEventListener("error", ({ message }) => reject(new Error(message)));
  worker.postMessage(request);
  try {
    const failure = await promise;
    if (failure !== null) throw syscallErrorFrom(failure);
  } finally {
    worker.terminate();
  }
}
