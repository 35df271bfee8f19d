/** Where the engine under judgement comes from. */
import { startEngine } from "../harness/engine.ts";

export interface OpenedSocket {
  readonly socketPath: string;
  /** As DOCKER_HOST. */
  readonly host: string;
  close(): Promise<void>;
}

/** The engine at NARU_SOCK (it loses what it holds), else a new one of the test's own. */
export async function openSocket(): Promise<OpenedSocket> {
  const socketPath = process.env["NARU_SOCK"];
  if (socketPath !== undefined) {
    return { socketPath, host: `unix://${socketPath}`, close: async () => {} };
  }
  const engine = await startEngine();
  return { socketPath: engine.socket, host: engine.host, close: () => engine.destroy() };
}
