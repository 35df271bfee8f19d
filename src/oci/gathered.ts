/** A pipe or socket takes so much at once; a piece that is larger goes on as it is. */
const GATHERED_BYTES = 128 * 1024;

/**
 * The same bytes in pieces of about 128 KiB: an archive of small files is made of pieces of 512
 * bytes, and sending each alone costs more than making it. What is gathered is copied.
 */
export async function* gathered(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let buffer = Buffer.allocUnsafeSlow(GATHERED_BYTES);
  let filled = 0;
  for await (const piece of source) {
    if (filled + piece.byteLength > GATHERED_BYTES && filled > 0) {
      yield buffer.subarray(0, filled);
      buffer = Buffer.allocUnsafeSlow(GATHERED_BYTES); // the receiver may keep the other one
      filled = 0;
    }
    if (piece.byteLength >= GATHERED_BYTES) {
      yield piece;
      continue;
    }
    buffer.set(piece, filled);
    filled += piece.byteLength;
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
