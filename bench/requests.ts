/** Counts how often one request is answered over one kept-alive connection. */
import { connect } from "node:net";

/** Requests per second, each sent after the answer to the one before. */
export async function requestsPerSecond(
  socketPath: string,
  path: string,
  forMs: number,
): Promise<number> {
  const socket = connect(socketPath);
  const request = `GET ${path} HTTP/1.1\r\nHost: engine\r\n\r\n`;
  const end = performance.now() + forMs;
  let answered = 0;
  let got: Buffer = Buffer.alloc(0);
  const started = performance.now();
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("connect", () => socket.write(request));
    socket.on("close", resolve);
    socket.on("data", (chunk: Buffer) => {
      got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
      if (!complete(got)) return;
      if (!got.subarray(0, 12).toString().endsWith("200")) {
        reject(new Error(`GET ${path}: ${got.subarray(0, 200).toString()}`));
        return;
      }
      answered += 1;
      got = Buffer.alloc(0);
      if (performance.now() < end) socket.write(request);
      else socket.destroy();
    });
  });
  return answered / ((performance.now() - started) / 1000);
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
