import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jwtVerify, SignJWT } from "jose";
import { type Clock, errorCode, NaruError } from "../base/mod.ts";
import type { Action } from "./access.ts";

const ISSUER = "naru registry";
const KEY_BYTES = 32; // HS256
export const TOKEN_SECONDS = 300; // what clients assume when nothing is said is 60
const REFRESH_SECONDS = 30 * 24 * 3600;
const CLOCK_SKEW_SECONDS = 5; // issuer and verifier are one process

/** What an access token says. */
export interface AccessToken {
  readonly user: string;
  readonly scopes: ReadonlyMap<string, ReadonlySet<Action>>;
}

/** Tokens that this registry issues and takes, signed with a key under its root. */
export class Tokens {
  readonly #key: Uint8Array;
  readonly #clock: Clock;

  constructor(root: string, clock: Clock) {
    this.#key = keyUnder(root);
    this.#clock = clock;
  }

  async issue(token: AccessToken): Promise<string> {
    const access = [...token.scopes].map(([name, actions]) => ({ name, actions: [...actions] }));
    return await this.#sign(
      { access },
      { user: token.user, use: "access", seconds: TOKEN_SECONDS },
    );
  }

  /** `mark` changes with the user's password, and ends the token then. */
  async issueRefresh(user: string, mark: string): Promise<string> {
    return await this.#sign({ mark }, { user, use: "refresh", seconds: REFRESH_SECONDS });
  }

  async #sign(
    claims: Record<string, unknown>,
    about: { readonly user: string; readonly use: string; readonly seconds: number },
  ): Promise<string> {
    const nowSeconds = Math.floor(this.#clock.nowMs() / 1000);
    return await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuer(ISSUER)
      .setAudience(about.use)
      .setSubject(about.user)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + about.seconds)
      .sign(this.#key);
  }

  /** Undefined for what is not a token of ours that holds now. */
  async verify(text: string): Promise<AccessToken | undefined> {
    const claims = await this.#claims(text, "access");
    if (claims === undefined) return undefined;
    const scopes = new Map<string, ReadonlySet<Action>>();
    for (const { name, actions } of claims["access"] as { name: string; actions: Action[] }[]) {
      scopes.set(name, new Set(actions));
    }
    return { user: String(claims["sub"]), scopes };
  }

  async verifyRefresh(text: string): Promise<{ user: string; mark: string } | undefined> {
    const claims = await this.#claims(text, "refresh");
    if (claims === undefined) return undefined;
    return { user: String(claims["sub"]), mark: String(claims["mark"]) };
  }

  async #claims(text: string, use: string): Promise<Record<string, unknown> | undefined> {
    try {
      const { payload } = await jwtVerify(text, this.#key, {
        ...{ issuer: ISSUER, audience: use, algorithms: ["HS256"] },
        ...{ clockTolerance: CLOCK_SKEW_SECONDS, currentDate: new Date(this.#clock.nowMs()) },
      });
      return payload;
    } catch {
      return undefined;
    }
  }
}

/** The key is kept: tokens hold when the server starts again. */
function keyUnder(root: string): Uint8Array {
  const path = join(root, "token.key");
  try {
    writeFileSync(path, randomBytes(KEY_BYTES), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  }
  const key = readFileSync(path);
  if (key.length === KEY_BYTES) return key;
  throw new NaruError("damaged", `${path} is not a key of ${KEY_BYTES} bytes: remove it`);
}
