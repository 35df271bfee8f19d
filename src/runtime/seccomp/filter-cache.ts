import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { errorCode } from "../../base/mod.ts";
import type { RuntimeSpec } from "../../spec/mod.ts";

/** crun takes a compiled filter from here and then looks at no profile. @see crun.1 */
const SECCOMP_ANNOTATION = "run.oci.seccomp_bpf_data";

const INSTRUCTION_BYTES = 8; // struct sock_filter
const INSTRUCTIONS_MAX = 4096; // BPF_MAXINSNS: the kernel takes no longer filter
const DIGEST_BYTES = 32;

/**
 * Compiled seccomp filters by everything that they depend on. Having libseccomp compile the default
 * profile costs 14 ms at every start; the same profile gives the same program. A file is the sha256
 * of the key and the program, then the program: what does not fit is thrown away and compiled anew.
 */
export class SeccompFilterCache {
  readonly #dir: string;
  readonly #memory: Map<string, Buffer> = new Map();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Undefined when this spec has no filter, or one that must not be replaced by a program. */
  keyOf(spec: RuntimeSpec, runtime: { path: string; version: string }): string | undefined {
    const { seccomp } = spec.linux;
    // Flags and notification are no part of the program: crun must see the profile.
    if (seccomp === undefined || (seccomp.flags?.length ?? 0) > 0) return undefined;
    const facts = {
      seccomp,
      capabilities: spec.process.capabilities ?? null,
      noNewPrivileges: spec.process.noNewPrivileges === true,
      arch: process.arch,
      kernel: release(),
      version: runtime.version,
      program: fileIdentity(runtime.path),
      libseccomp: libseccompIdentity(),
    };
    return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
  }

  /** The spec with the compiled filter in place of the profile, or undefined when there is none. */
  apply(spec: RuntimeSpec, key: string): RuntimeSpec | undefined {
    const program = this.#load(key);
    if (program === undefined) return undefined;
    const { seccomp: _, ...linux } = spec.linux;
    const annotations = { ...spec.annotations, [SECCOMP_ANNOTATION]: program.toString("base64") };
    return { ...spec, annotations, linux };
  }

  /** Keeps what crun has compiled, found in its state folder. Failing to is not an error. */
  learn(key: string, stateDir: string): void {
    try {
      const program = readFileSync(`${stateDir}/seccomp.bpf`);
      if (!isProgram(program)) return;
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      const temporary = `${this.#dir}/.${key}.${process.pid}`;
      writeFileSync(temporary, Buffer.concat([checksum(key, program), program]), { mode: 0o600 });
      renameSync(temporary, `${this.#dir}/${key}`);
      this.#memory.set(key, program);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
  }

  /** Throws an entry away: the runtime did not take it. */
  forget(key: string): void {
    this.#memory.delete(key);
    rmSync(`${this.#dir}/${key}`, { force: true });
  }

  #load(key: string): Buffer | undefined {
    const known = this.#memory.get(key);
    if (known !== undefined) return known;
    let bytes: Buffer;
    try {
      bytes = readFileSync(`${this.#dir}/${key}`);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return undefined;
    }
    const program = bytes.subarray(DIGEST_BYTES);
    if (!isProgram(program) || !checksum(key, program).equals(bytes.subarray(0, DIGEST_BYTES))) {
      this.forget(key);
      return undefined;
    }
    this.#memory.set(key, program);
    return program;
  }
}

function isProgram(bytes: Uint8Array): boolean {
  const count = bytes.byteLength / INSTRUCTION_BYTES;
  return Number.isInteger(count) && count > 0 && count <= INSTRUCTIONS_MAX;
}

function checksum(key: string, program: Uint8Array): Buffer {
  return createHash("sha256").update(key).update(program).digest();
}

function fileIdentity(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${realpathSync(path)} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return path;
  }
}

let libseccomp: string | undefined;

/** The library's file name carries its version; where it is elsewhere crun's own identity stands. */
function libseccompIdentity(): string {
  if (libseccomp !== undefined) return libseccomp;
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const folders = [`/usr/lib/${triplet}`, `/lib/${triplet}`, "/usr/lib64", "/usr/lib"];
  const found = folders.map((dir) => `${dir}/libseccomp.so.2`).find((path) => existsSync(path));
  libseccomp = found === undefined ? "" : fileIdentity(found);
  return libseccomp;
}
