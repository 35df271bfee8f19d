/** What a seccomp filter says of a call: classic BPF over struct seccomp_data. @see seccomp(2) */
export interface FilterVerdict {
  readonly action: "allow" | "errno" | "other";
  readonly errno: number;
}

const RET_ALLOW = 0x7fff_0000;
const RET_ERRNO = 0x0005_0000;
const STEPS_MAX = 4096;

/** Runs the program (struct sock_filter, 8 bytes each) for one call. */
export function runFilter(
  program: Buffer,
  call: { readonly arch: number; readonly number: number; readonly args?: readonly number[] },
): FilterVerdict {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  for (const [index, value] of (call.args ?? []).entries()) {
    data.setBigUint64(16 + index * 8, BigInt(value), true);
  }
  let accumulator = 0;
  for (let at = 0, steps = 0; steps < STEPS_MAX; steps += 1) {
    const code = program.readUInt16LE(at * 8);
    const ifTrue = program.readUInt8(at * 8 + 2);
    const ifFalse = program.readUInt8(at * 8 + 3);
    const value = program.readUInt32LE(at * 8 + 4);
    at += 1;
    if (code === 0x20)
      accumulator = data.getUint32(value, true); // ld [k]
    else if (code === 0x54)
      accumulator = (accumulator & value) >>> 0; // and k
    else if (code === 0x05)
      at += value; // ja
    else if (code === 0x15)
      at += accumulator === value ? ifTrue : ifFalse; // jeq
    else if (code === 0x25)
      at += accumulator > value ? ifTrue : ifFalse; // jgt
    else if (code === 0x35)
      at += accumulator >= value ? ifTrue : ifFalse; // jge
    else if (code === 0x45)
      at += (accumulator & value) !== 0 ? ifTrue : ifFalse; // jset
    else if (code === 0x06) return verdict(value);
    else throw new Error(`unknown instruction ${code.toString(16)}`);
  }
  throw new Error("the filter does not end");
}

function verdict(value: number): FilterVerdict {
  const action = (value & 0xffff_0000) >>> 0;
  if (action === RET_ALLOW) return { action: "allow", errno: 0 };
  if (action === RET_ERRNO) return { action: "errno", errno: value & 0xffff };
  return { action: "other", errno: 0 };
}
