import { type MountRequest, mount } from "./mount.ts";
import { SyscallError, syscallErrorRecord } from "./syscall-error.ts";

interface WorkerScope {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent<MountRequest>) => void) | null;
}
declare const self: WorkerScope;

self.onmessage = ({ data }) => {
  try {
    mount(data);
    self.postMessage(null);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    self.postMessage(syscallErrorRecord(error));
  }
};
