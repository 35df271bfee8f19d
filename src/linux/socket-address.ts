import { isIPv4, isIPv6 } from "node:net";
import { errnoOf, SyscallError } from "./syscall-error.ts";

export const AF_INET: number = 2;
export const AF_INET6: number = 10;

/** The 4 or 16 bytes of an address without a zone. Throws SyscallError EINVAL for any other text. */
export function addressBytes(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) {
    throw new SyscallError("inet_pton", errnoOf("EINVAL"), text.slice(0, 100));
  }
  // `::ffff:1.2.3.4`: the last part stands for two groups.
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const group = (high: string, low: string): string =>
      (Number(high) * 256 + Number(low)).toString(16);
    return `${group(a, b)}:${group(c, d)}`;
  });
  const [head = "", tail] = plain.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: 8 - first.length - last.length }, () => 0);
  return Uint8Array.from(
    [...first, ...middle, ...last].flatMap((group) => [group >> 8, group & 255]),
  );
}

/** struct sockaddr_in or sockaddr_in6 (little-endian host, the port in network order). */
export function socketAddress(address: string, port: number): Buffer {
  const bytes = addressBytes(address);
  const isV4 = bytes.byteLength === 4;
  const result = Buffer.alloc(isV4 ? 16 : 28);
  result.writeUInt16LE(isV4 ? AF_INET : AF_INET6, 0);
  result.writeUInt16BE(port, 2);
  result.set(bytes, isV4 ? 4 : 8);
  return result;
}
