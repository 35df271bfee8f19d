import { mount } from "./mount.ts";
import type { RelativeMountRequest } from "./overlay.ts";
import { CLONE_FS, chdir, unshare } from "./process.ts";
import { SyscallError, syscallErrorRecord } from "./syscall-error.ts";

interface WorkerScope {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent<RelativeMountRequest>) => void) | null;
}
declare const self: WorkerScope;

self.onmessage = ({ data }) => {
  try {
    unshare(CLONE_FS); // or the whole engine would change its directory
    chdir(data.folder);
    mount({ source: "overlay", target: data.target, type: "overlay", options: data.options });
    self.postMessage(null);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    self.postMessage(syscallErrorRecord(error));
  }
};
