/** The engines that are compared, each with roots and a network namespace of its own. */

/** Where an engine may put its things; `dataRoot` may lie on another file system than `root`. */
export interface Place {
  /** Work folder of this engine; its path is part of every command line that it starts. */
  readonly root: string;
  readonly dataRoot: string;
}

/** An engine that runs. */
export interface Running {
  /** Absent for an engine without a daemon. */
  readonly socketPath?: string;
  /** Command lines in front of `run`, `exec`, `load`: one per way of driving this engine. */
  readonly clients: readonly Client[];
  /** Put before a command line that is to see this engine's network. */
  readonly enter: readonly string[];
  /** Waits until work that was left for after the reply is done. */
  settle(): Promise<void>;
  /** Stops the daemon and starts it again; milliseconds from its start until it answers. */
  restart?(): Promise<number>;
  stop(): Promise<void>;
}

export interface Client {
  /** `naru`, `docker CLI on naru`, `docker`, `podman`. */
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Contender {
  readonly name: string;
  /** Version text, or undefined with the reason when it cannot be measured here. */
  version(): { readonly text: string } | { readonly missing: string };
  start(place: Place): Promise<Running>;
}
