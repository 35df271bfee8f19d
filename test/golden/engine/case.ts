/** What a case is made of: plain data, played against dockerd to record and against naru to judge. */

/** How the body of an answer is written down. */
export type BodyForm =
  | "auto" // by Content-Type: JSON as JSON, all else as text
  | "lines" // a stream of JSON objects
  | "frames" // the 8-byte framing of attach, logs and exec
  | "text" // raw bytes as UTF-8
  | "shape"; // JSON with its leaf values replaced by their types

/** A request. `{name}` in `call` and `body` stands for a value saved by an earlier step. */
export interface CallStep {
  /** `METHOD /path?query`, without the version prefix unless `bare`. */
  readonly call: string;
  /** Sent as JSON; a string is sent as it is (malformed JSON and the like). */
  readonly body?: unknown;
  /** Send the archive of this name (`images.ts`) as the body. */
  readonly archive?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The path is complete: no version prefix is put before it. */
  readonly bare?: boolean;
  /** Ask for `Upgrade: tcp`. */
  readonly upgrade?: boolean;
  /** Save fields of a JSON answer under names: `{ c: "Id" }`. */
  readonly save?: Readonly<Record<string, string>>;
  /** Needed for the case, not part of the record. */
  readonly quiet?: boolean;
  /** Do not wait for the end: later steps speak of this exchange by this name. */
  readonly hold?: string;
  readonly form?: BodyForm;
  /** Keep every header of the answer. */
  readonly allHeaders?: boolean;
  /** Record only these paths (`State.ExitCode`, `[].Names`) of a JSON answer. */
  readonly pick?: readonly string[];
  /** Leaf paths (`a.b`) kept as they are in the form "shape". */
  readonly keep?: readonly string[];
}

export type Step =
  | CallStep
  | { readonly write: string; readonly text: string } // send on a held exchange
  | { readonly expect: string; readonly text: string } // wait until it has said this
  | { readonly halfClose: string } // end the client's side
  | { readonly finish: string } // wait for the end and record the body
  | { readonly drop: string } // record what came so far and hang up
  | { readonly sleepMs: number };

export interface Case {
  readonly name: string;
  /** API versions to play; the first is the main one. */
  readonly api?: readonly string[];
  readonly steps: readonly Step[];
}

/** The versions at which answers are known to differ in shape. */
export const SHAPE_VERSIONS: readonly string[] = ["1.41", "1.40", "1.30", "1.24"];

/** Steps that make a container and start it, unrecorded. `{c}` is its id. */
export function running(config: Readonly<Record<string, unknown>>, name = "web"): Step[] {
  return [...created(config, name), { call: "POST /containers/{c}/start", quiet: true }];
}

/** Steps that make a container, unrecorded. `{c}` is its id. */
export function created(config: Readonly<Record<string, unknown>>, name = "web"): Step[] {
  return [
    {
      call: `POST /containers/create?name=${name}`,
      body: { Image: "naru-golden:1", ...config },
      save: { c: "Id" },
      quiet: true,
    },
  ];
}

/** Steps that run a container to its end, unrecorded. */
export function exited(config: Readonly<Record<string, unknown>>, name = "web"): Step[] {
  return [...running(config, name), { call: "POST /containers/{c}/wait", quiet: true }];
}

/** Waits for `{c}` to end, unrecorded. */
export const awaitExit: Step = { call: "POST /containers/{c}/wait", quiet: true };

/** A shell command line as Cmd. */
export function sh(script: string): string[] {
  return ["sh", "-c", script];
}

/** A long-lived process that ends at once on SIGTERM. */
export const IDLE: readonly string[] = sh("trap 'exit 7' TERM; while :; do sleep 0.1; done");

/** Process 1 ignores a signal that it has no handler for: IDLE's first line must have run. */
export const TRAP_SET: Step = { sleepMs: 200 };
