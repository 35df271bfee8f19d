/** Counts how often one request is answered over one kept-alive connection. */
import { connect } from "node:net";
import { quantile } from "./statistics.ts";

export interface Rate {
  readonly perSecond: number;
  /** Of one hundred answers ninety-nine came in this time. */
  readonly p99Ms: number;
}

/** Each request is sent after the answer to the one before. */
export async function requestsOf(socketPath: string, path: string, forMs: number): Promise<Rate> {
  const socket = connect(socketPath);
  const request = `GET ${path} HTTP/1.1\r\nHost: engine\r\n\r\n`;
  const end = performance.now() + forMs;
  const tookMs: number[] = [];
  let sentAt = 0;
  let got: Buffer = Buffer.alloc(0);
  const started = performance.now();
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    const send = (): void => {
      sentAt = performance.now();
      socket.write(request);
    };
    socket.on("connect", send);
    socket.on("close", resolve);
    socket.on("data", (chunk: Buffer) => {
      got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
      if (!complete(got)) return;
      if (!got.subarray(0, 12).toString().endsWith("200")) {
        reject(new Error(`GET ${path}: ${got.subarray(0, 200).toString()}`));
        return;
      }
      tookMs.push(performance.now() - sentAt);
      got = Buffer.alloc(0);
      if (performance.now() < end) send();
      else socket.destroy();
    });
  });
  const seconds = (performance.now() - started) / 1000;
  return { perSecond: tookMs.length / seconds, p99Ms: quantile(tookMs, 0.99) };
}

/** True when `bytes` is one whole answer. Nothing is pipelined, so the last bytes tell. */
function complete(bytes: Buffer): boolean {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return false;
  const head = bytes.subarray(0, headEnd).toString();
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return bytes.length >= headEnd + 4 + Number(length);
  return bytes.subarray(-7).toString() === "\r\n0\r\n\r\n";
}
