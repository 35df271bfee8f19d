/**
 * Asks a name server one question again and again, `AT_ONCE` at any time, and prints look-ups per
 * second and the 99th percentile in ms as JSON. `bun bench/dns-client.ts ADDRESS NAME COUNT`; it is
 * run in the network namespace of a container.
 */
import { createSocket } from "node:dgram";
import { encode } from "dns-packet";

const AT_ONCE = 16;
const LOST_AFTER_MS = 2_000;

const [address = "127.0.0.11", name = "", countText = "1000"] = process.argv.slice(2);
const count = Number(countText);
const socket = createSocket("udp4");
const sentAt = new Map<number, number>();
const tookMs: number[] = [];
const { promise: done, resolve, reject } = Promise.withResolvers<void>();
let next = 0;

function ask(): void {
  if (next >= count) return;
  const id = next++;
  sentAt.set(id, performance.now());
  const questions = [{ name, type: "A" as const, class: "IN" as const }];
  socket.send(encode({ type: "query", id, flags: 0x100, questions }), 53, address);
}

socket.on("message", (bytes) => {
  const id = bytes.readUInt16BE(0);
  const started = sentAt.get(id);
  if (started === undefined) return;
  if ((bytes.readUInt8(3) & 0xf) !== 0)
    reject(new Error(`${name}: code ${bytes.readUInt8(3) & 0xf}`));
  sentAt.delete(id);
  tookMs.push(performance.now() - started);
  if (tookMs.length >= count) resolve();
  else ask();
});

const timer = setInterval(() => {
  const lost = [...sentAt.values()].some((at) => performance.now() - at > LOST_AFTER_MS);
  if (lost) reject(new Error(`${name}: no answer within ${LOST_AFTER_MS} ms`));
}, LOST_AFTER_MS);

const started = performance.now();
for (let index = 0; index < AT_ONCE; index += 1) ask();
await done;
const elapsedMs = performance.now() - started;
clearInterval(timer);
socket.close();
const sorted = tookMs.toSorted((a, b) => a - b);
console.log(
  JSON.stringify({
    perSecond: (count / elapsedMs) * 1000,
    p99Ms: sorted[Math.floor(count * 0.99)],
  }),
);
