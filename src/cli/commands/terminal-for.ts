import type { EngineClient } from "../../sdk/mod.ts";
import type { CliContext } from "../context.ts";

/** Raw mode, window size and signals for an attached container, undone by `cleanup`. */
export async function terminalFor(
  context: CliContext,
  engine: EngineClient,
  id: string,
  options: { tty: boolean; stdin: boolean; sigProxy: boolean },
  cleanup: AsyncDisposableStack,
): Promise<void> {
  if (!options.tty && !options.sigProxy) return;
  const terminal = await import("../session/terminal.ts");
  if (options.tty && options.stdin && context.io.stdin.isTty) {
    cleanup.use(await terminal.rawTerminal(context.io));
  }
  if (options.tty && context.io.stdout.isTty) {
    cleanup.use(terminal.followSize(context.io, (size) => engine.containers.resize(id, size)));
  }
  if (options.sigProxy) {
    cleanup.use(terminal.proxySignals(context.io, (signal) => engine.containers.kill(id, signal)));
  }
}
