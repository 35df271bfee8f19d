import type { TestEngine } from "../harness/engine.ts";
import type { Dice } from "./dice.ts";

/** A request that takes longer hangs: the slowest, a stop with SIGKILL, takes about a second. */
const REQUEST_LIMIT_MS = 60_000;
/** Of an exec only: in a container that is paused it goes on when somebody thaws it. */
const EXEC_LIMIT_MS = 10_000;
const MIB = 1024 * 1024;

const COMMANDS: readonly string[] = [
  "exit 3",
  "sleep 0.3",
  "sleep 600",
  "while :; do echo a line; sleep 0.2; done",
  "trap 'exit 0' TERM; while :; do sleep 0.05; done",
];

/** Refusals that Docker gives too: not now, not there, nothing to do. */
const REFUSALS: ReadonlySet<number> = new Set([304, 400, 404, 409]);

interface Figures {
  requests: number;
  refused: number;
  /** Requests that the engine's end cut off. */
  cutOff: number;
  created: number;
  /** Execs that waited for a thaw in vain. */
  frozenExecs: number;
  readonly failures: string[];
}

/** The containers that the workers fight over. */
export class Population {
  readonly figures: Figures = {
    requests: 0,
    refused: 0,
    cutOff: 0,
    created: 0,
    frozenExecs: 0,
    failures: [],
  };
  readonly #engine: TestEngine;
  readonly #size: number;
  readonly #ids: string[] = [];
  #names = 0;
  /** Set while the engine is killed and started. */
  down: Promise<void> | undefined;

  constructor(engine: TestEngine, size: number) {
    this.#engine = engine;
    this.#size = size;
  }

  /** One worker: a request after the other until the time is over. */
  async work(dice: Dice, untilMs: number): Promise<void> {
    while (performance.now() < untilMs) {
      await this.down;
      const room = this.#ids.length < this.#size;
      if (room && (this.#ids.length < this.#size / 2 || dice(3) === 0)) await this.#create(dice);
      else await this.#act(dice);
    }
  }

  async #create(dice: Dice): Promise<void> {
    const body = {
      Image: "busybox",
      Cmd: ["sh", "-c", COMMANDS[dice(COMMANDS.length)]],
      HostConfig: {
        AutoRemove: dice(4) === 0,
        NetworkMode: dice(2) === 0 ? "none" : "default",
        ...(dice(5) === 0 ? { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 } } : {}),
      },
    };
    if (body.HostConfig.RestartPolicy !== undefined) body.HostConfig.AutoRemove = false;
    const answer = await this.#request("POST", "/containers/create", body);
    if (answer === undefined || !answer.includes('"Id"')) return;
    const { Id } = JSON.parse(answer) as { Id: string };
    this.figures.created += 1;
    this.#ids.push(Id);
    await this.#request("POST", `/containers/${Id}/start`);
  }

  async #act(dice: Dice): Promise<void> {
    const id = this.#ids[dice(this.#ids.length)];
    if (id === undefined) return;
    const at = `/containers/${id}`;
    const post = (path: string, body?: unknown) => this.#request("POST", `${at}/${path}`, body);
    const choices: readonly (() => Promise<unknown>)[] = [
      () => post("start"),
      () => post("start"),
      () => post("stop?t=0"),
      () => post("stop?t=1"),
      () => post("kill"),
      () => post("kill?signal=TERM"),
      () => post("restart?t=0"),
      () => post("pause"),
      () => post("unpause"),
      () => post("unpause"),
      () => post(`rename?name=n${(this.#names += 1)}`),
      () => post("update", { Memory: (32 + dice(32)) * MIB, MemorySwap: -1, CpuShares: 512 }),
      () => this.#exec(id),
      () => this.#exec(id),
      () => this.#request("GET", `${at}/json?size=1`),
      () => this.#request("GET", `${at}/logs?stdout=1&tail=5`),
      () => this.#request("GET", `${at}/stats?stream=false&one-shot=true`),
      () => this.#request("GET", `${at}/top`),
      () => this.#request("GET", "/containers/json?all=1"),
      () => this.#remove(id, "v=1"),
      () => this.#remove(id, "force=1&v=1"),
    ];
    await choices[dice(choices.length)]?.();
  }

  async #remove(id: string, query: string): Promise<void> {
    await this.#request("DELETE", `/containers/${id}?${query}`);
    const gone = await this.#engine.fetch(`/containers/${id}/json`).catch(() => undefined);
    await gone?.arrayBuffer();
    const index = this.#ids.indexOf(id);
    if (gone?.status === 404 && index >= 0) this.#ids.splice(index, 1);
  }

  async #exec(id: string): Promise<void> {
    const body = { AttachStdout: true, Cmd: ["echo", "x"] };
    const answer = await this.#request("POST", `/containers/${id}/exec`, body);
    if (answer === undefined || !answer.includes('"Id"')) return;
    const { Id } = JSON.parse(answer) as { Id: string };
    await this.#request("POST", `/exec/${Id}/start`, { Detach: false }, EXEC_LIMIT_MS);
  }

  /** The body of an answer; undefined when it was refused or the engine was killed meanwhile. */
  async #request(
    method: string,
    path: string,
    body?: unknown,
    limitMs: number = REQUEST_LIMIT_MS,
  ): Promise<string | undefined> {
    const { figures } = this;
    figures.requests += 1;
    const downBefore = this.down;
    try {
      const answer = await this.#engine.fetch(path, {
        method,
        signal: AbortSignal.timeout(limitMs),
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      const text = await answer.text();
      if (answer.ok) return text;
      figures.refused += 1;
      if (!REFUSALS.has(answer.status)) {
        figures.failures.push(`${method} ${path}: ${answer.status} ${text}`);
      }
      return undefined;
    } catch (error) {
      const late = error instanceof Error && error.name === "TimeoutError";
      if (late && limitMs === EXEC_LIMIT_MS) figures.frozenExecs += 1;
      else if (late) figures.failures.push(`${method} ${path}: no answer in ${limitMs} ms`);
      else if (this.down === undefined && downBefore === undefined && !(await this.#isOver())) {
        figures.failures.push(`${method} ${path}: ${String(error)}`);
      } else figures.cutOff += 1;
      return undefined;
    }
  }

  /** Is the engine about to be killed or just back? The loss of a connection is seen before that. */
  async #isOver(): Promise<boolean> {
    await Bun.sleep(50);
    return this.down !== undefined || this.recentlyDown();
  }

  /** Replaced by who kills the engine. */
  recentlyDown: () => boolean = () => false;
}
