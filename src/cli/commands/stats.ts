import type { EngineClient } from "../../sdk/mod.ts";
import type { ContainerStats } from "../../spec/mod.ts";
import type { Command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { explain } from "../explain.ts";
import { bool, text } from "../flags/flag.ts";
import { printList } from "../output/list-output.ts";
import { STATS_HEADERS, STATS_TABLE, statsRow } from "../output/stats-row.ts";

const REDRAW_MS = 500; // docker's: samples come once a second, at times of their own
const HOME = "\u001b[H";
const CLEAR_LINE_END = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

export const statsCommand: Command = {
  path: "stats",
  usage: "[CONTAINER...]",
  summary: "Display a live stream of container(s) resource usage statistics",
  flags: [
    bool("all", "a", "Show all containers (default shows just running)"),
    text("format", "", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    bool("no-stream", "", "Disable streaming stats and only pull the first result"),
    bool("no-trunc", "", "Do not truncate output"),
  ],
  minArgs: 0,
  examples: ["stats --no-stream", "stats --format '{{.Name}}: {{.CPUPerc}}' web"],
  async run({ context, values, args }) {
    const board = new Board(context, {
      format: values.string("format") || (context.config.statsFormat ?? ""),
      truncate: !values.bool("no-trunc"),
    });
    const engine = await context.engine();
    const all = values.bool("all");
    if (values.bool("no-stream")) return await showOnce(board, engine, args, all);
    if (args.length > 0) return await followNamed(board, engine, args);
    return await followEvery(board, engine, all);
  },
};

async function namesOf(engine: EngineClient, all: boolean): Promise<string[]> {
  return (await engine.containers.list({ all })).map(({ Id: id }) => id);
}

async function showOnce(
  board: Board,
  engine: EngineClient,
  args: readonly string[],
  all: boolean,
): Promise<number> {
  const names = args.length > 0 ? args : await namesOf(engine, all);
  for (const name of names) board.add(name);
  await Promise.all(names.map((name) => board.follow(engine, name, { stream: false })));
  board.draw();
  return board.exitCode;
}

/** Until every one of them is gone. */
async function followNamed(
  board: Board,
  engine: EngineClient,
  names: readonly string[],
): Promise<number> {
  for (const name of names) board.add(name);
  await board.drawDuring(async () => {
    await Promise.all(names.map((name) => board.follow(engine, name, { stream: true })));
  });
  return board.exitCode;
}

/** Whatever runs, also what starts later; ends with the engine. */
async function followEvery(board: Board, engine: EngineClient, all: boolean): Promise<number> {
  const actions = all ? ["create", "destroy"] : ["start", "die", "destroy"];
  const filters = new Map([
    ["type", ["container"]],
    ["event", actions],
  ]);
  const follow = (id: string): void => {
    if (!board.add(id)) return;
    void board.follow(engine, id, { stream: true });
  };
  // First the events: what starts while the list is on its way is in one of the two.
  const events = await engine.system.events({ filters });
  for (const id of await namesOf(engine, all)) follow(id);
  await board.drawDuring(async () => {
    for await (const { Action: action, Actor: actor } of events) {
      if (action === "create" || action === "start") follow(actor.ID);
      else board.remove(actor.ID);
    }
  });
  return board.exitCode;
}

interface Watched {
  stats: ContainerStats | undefined;
  readonly abort: AbortController;
}

/** The table on the screen. */
class Board {
  readonly #context: CliContext;
  readonly #options: { readonly format: string; readonly truncate: boolean };
  readonly #watched: Map<string, Watched> = new Map();
  #cleared = false;
  exitCode = 0;

  constructor(context: CliContext, options: { format: string; truncate: boolean }) {
    this.#context = context;
    this.#options = options;
  }

  /** False when it is there already. */
  add(name: string): boolean {
    if (this.#watched.has(name)) return false;
    this.#watched.set(name, { stats: undefined, abort: new AbortController() });
    return true;
  }

  remove(name: string): void {
    this.#watched.get(name)?.abort.abort();
    this.#watched.delete(name);
  }

  /** Keeps the newest sample of one container; it leaves the board when it is gone. */
  async follow(engine: EngineClient, name: string, query: { stream: boolean }): Promise<void> {
    const watched = this.#watched.get(name);
    if (watched === undefined) return;
    const { signal } = watched.abort;
    try {
      for await (const stats of await engine.containers.stats(name, query, signal)) {
        // The first of a stream has nothing to be compared with.
        watched.stats = stats;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.exitCode = 1;
      const { io, program } = this.#context;
      io.stderr.print(`${program}: ${explain(error, program)}\n`);
      this.remove(name);
      return;
    }
    if (query.stream) this.remove(name);
  }

  draw(): void {
    const rows = [...this.#watched].map(([name, { stats }]) =>
      statsRow(name, stats, { truncate: this.#options.truncate }),
    );
    const list = { headers: STATS_HEADERS, table: STATS_TABLE, idField: "ID" };
    printList(this.#context.io.stdout, rows, list, { format: this.#options.format, quiet: false });
  }

  /** Draws until `work` ends, or fails as the drawing does: its reader may go away. */
  async drawDuring(work: () => Promise<void>): Promise<void> {
    const failed = Promise.withResolvers<never>();
    const timer = setInterval(() => {
      try {
        if (this.#context.io.stdout.isTty) this.#drawOver();
        else this.draw();
      } catch (error) {
        failed.reject(error);
      }
    }, REDRAW_MS);
    try {
      await Promise.race([work(), failed.promise]);
    } finally {
      clearInterval(timer);
      for (const name of [...this.#watched.keys()]) this.remove(name);
    }
  }

  /** In one piece and without clearing first: a table that is wiped flickers. */
  #drawOver(): void {
    const { stdout } = this.#context.io;
    const rows = [...this.#watched].map(([name, { stats }]) =>
      statsRow(name, stats, { truncate: this.#options.truncate }),
    );
    let text = "";
    const collected = {
      isTty: true,
      columns: () => stdout.columns(),
      rows: () => stdout.rows(),
      print: (part: string) => void (text += part),
      write: () => Promise.resolve(),
    };
    const list = { headers: STATS_HEADERS, table: STATS_TABLE, idField: "ID" };
    printList(collected, rows, list, { format: this.#options.format, quiet: false });
    if (!this.#cleared) stdout.print(`${HOME}${CLEAR_BELOW}`);
    this.#cleared = true;
    stdout.print(`${HOME}${text.replaceAll("\n", `${CLEAR_LINE_END}\n`)}${CLEAR_BELOW}`);
  }
}
