import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { type Clock, errorMessage, NaruError, SECOND_MS, Semaphore } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { refusal } from "./refusal.ts";

const FILE_BYTES_MAX = 16 * 1024 * 1024; // a hundred thousand users
const BCRYPT = /^\$2[aby]\$\d{2}\$[./A-Za-z0-9]{53}$/;
// Of no password: who does not exist takes as long to refuse as who does.
const NOBODY = "$2y$10$ZyLsdH2s3fG3gTTeZyW0uOqNZ3PkyM.bL1o3mQXJ3dcCKCYyQvX8y";
const VERIFY_PARALLEL = 2; // bcrypt is a whole core each
const VERIFY_WAITING_MAX = 64; // more is somebody guessing: 429
const PROVED_MS: number = 300 * SECOND_MS; // spares bcrypt for each request of a Basic client
const PROVED_MAX = 1000;
const LOOK_MS = SECOND_MS; // how often the file is looked at for changes

/** Users and bcrypt hashes of a file as `htpasswd -B` writes it, read again when it changes. */
export class Htpasswd {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #hashes: ReadonlyMap<string, string>;
  #mtimeMs: number;
  #lookedMs: number;
  readonly #proved: Map<string, number> = new Map();
  readonly #verifying: Semaphore = new Semaphore(VERIFY_PARALLEL);
  #waiting = 0;

  /** Throws invalid_argument naming the line, also for hashes that are not bcrypt. */
  constructor(path: string, clock: Clock, logger: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#hashes = readHtpasswd(path);
    this.#mtimeMs = statSync(path).mtimeMs;
    this.#lookedMs = clock.nowMs();
  }

  #current(): ReadonlyMap<string, string> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lookedMs < LOOK_MS) return this.#hashes;
    this.#lookedMs = nowMs;
    try {
      const { mtimeMs } = statSync(this.#path);
      if (mtimeMs === this.#mtimeMs) return this.#hashes;
      this.#hashes = readHtpasswd(this.#path);
      this.#mtimeMs = mtimeMs;
      this.#proved.clear();
    } catch (error) {
      this.#logger.error("the htpasswd file cannot be read, the users stay", { error });
    }
    return this.#hashes;
  }

  /** Changes with the password of `user`; undefined for nobody. For tokens that must end with it. */
  passwordMark(user: string): string | undefined {
    const hash = this.#current().get(user);
    return hash === undefined ? undefined : keyOf(user, hash).slice(0, 16);
  }

  /** Throws TOOMANYREQUESTS when too many are guessing. */
  async verify(user: string, password: string): Promise<boolean> {
    const hash = this.#current().get(user);
    const key = keyOf(user, password);
    const untilMs = this.#proved.get(key) ?? 0;
    if (hash !== undefined && untilMs > this.#clock.nowMs()) return true;
    if (this.#waiting >= VERIFY_WAITING_MAX) {
      throw refusal("TOOMANYREQUESTS", "too many log-ins at a time: try again later");
    }
    this.#waiting += 1;
    try {
      const matches = await this.#verifying.run(() =>
        Bun.password.verify(password, hash ?? NOBODY, "bcrypt"),
      );
      if (hash === undefined || !matches) return false;
      if (this.#proved.size >= PROVED_MAX) this.#proved.clear();
      this.#proved.set(key, this.#clock.nowMs() + PROVED_MS);
      return true;
    } finally {
      this.#waiting -= 1;
    }
  }
}

function keyOf(user: string, secret: string): string {
  return createHash("sha256").update(`${user}\n${secret}`).digest("hex");
}

function readHtpasswd(path: string): ReadonlyMap<string, string> {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new NaruError(
      "invalid_argument",
      `${path}: ${errorMessage(error)}`,
      {},
      { cause: error },
    );
  }
  const hashes = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    const hash = line.slice(colon + 1).trim();
    if (colon < 1 || !BCRYPT.test(hash)) {
      const hint = "not NAME:HASH with a bcrypt hash: make it with htpasswd -B";
      throw new NaruError("invalid_argument", `${path}:${index + 1}: ${hint}`);
    }
    hashes.set(line.slice(0, colon), hash);
  }
  if (hashes.size === 0) throw new NaruError("invalid_argument", `${path} has no users`);
  return hashes;
}
