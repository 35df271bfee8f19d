import { close, O_RDONLY, open } from "./descriptor.ts";
import { CLONE_NEWNET, setns } from "./process.ts";

/**
 * Runs `action` with this thread in the network namespace of the file at `path`: sockets that it
 * makes, and processes that it starts, stay there. Nothing may wait inside, or what else the thread
 * does meanwhile would happen there too. Throws SyscallError (ENOENT, EINVAL).
 */
export function inNetworkNamespace<T>(path: string, action: () => T): T {
  const home = open("/proc/thread-self/ns/net", O_RDONLY);
  try {
    const there = open(path, O_RDONLY);
    try {
      setns(there, CLONE_NEWNET);
    } finally {
      close(there);
    }
    try {
      return action();
    } finally {
      setns(home, CLONE_NEWNET);
    }
  } finally {
    close(home);
  }
}
