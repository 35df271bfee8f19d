import type { Clock } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import {
  type ContainerLog,
  connectStdio,
  type LogLimits,
  openContainerLog,
  resizeTerminal,
  type ShippingPlan,
  type StdinMode,
  type StdioHub,
} from "../runtime/mod.ts";

/** The runtime room's free functions behind one seam, so that tests can put others in their place. */
export interface TerminalDriver {
  connectStdio(bundleDir: string, request: StdioRequest): Promise<StdioHub>;
  /** `shipping` is asked when a run begins; undefined for a log that stays here. */
  openLog(path: string, limits: LogLimits, shipping?: () => ShippingPlan): Promise<ContainerLog>;
  resize(bundleDir: string, size: { rows: number; columns: number }): void;
}

export interface StdioRequest {
  readonly terminal: boolean;
  readonly stdin: StdinMode;
  /** undefined: there is none. */
  readonly log: ContainerLog | undefined;
}

export function createTerminalDriver(clock: Clock, logger: Logger): TerminalDriver {
  return {
    connectStdio: (bundleDir, request) => connectStdio(bundleDir, { ...request, logger }),
    openLog: (path, limits, shipping) =>
      openContainerLog(path, limits, { clock, logger, shipping }),
    resize: resizeTerminal,
  };
}
