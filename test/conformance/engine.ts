/** Where the engine under judgement comes from. */
export interface OpenedSocket {
  readonly socketPath: string;
  close(): Promise<void>;
}

/** NARU_SOCK names a running engine. */
export async function openSocket(): Promise<OpenedSocket> {
  const socketPath = process.env["NARU_SOCK"];
  if (socketPath !== undefined) return { socketPath, close: async () => {} };
  throw new Error("NARU_SOCK names no engine");
}
