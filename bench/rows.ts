/** What a measurement is, and how its samples are taken in turns. */
import type { Client, Contender, Running } from "./contender.ts";

export type Unit = "ms" | "per s" | "MB" | "Gbit/s" | "ms per s";

/** One row of the table: samples of each client or engine. */
export interface Row {
  readonly name: string;
  readonly unit: Unit;
  readonly less: boolean; // true when less is better
  /** The command that made it, with the client's own words left out. */
  readonly command: string;
  readonly samples: Map<string, number[]>;
}

export interface Started {
  readonly contender: Contender;
  readonly root: string;
  readonly running: Running;
}

export interface Bench {
  readonly quick: boolean;
  readonly cache: string;
  readonly engines: readonly Started[];
  /** Starts engines with their data on a tmpfs (or on disk), for the time of `use`. */
  withEngines(
    where: "disk" | "tmpfs",
    use: (engines: readonly Started[]) => Promise<void>,
  ): Promise<void>;
  note(text: string): void;
}

export interface Measurement {
  readonly name: string;
  measure(bench: Bench): Promise<Row[]>;
}

export function row(name: string, unit: Unit, less: boolean, command: string): Row {
  return { name, unit, less, command, samples: new Map() };
}

export function add(to: Row, who: string, sample: number): void {
  to.samples.set(who, [...(to.samples.get(who) ?? []), sample]);
}

export interface Turn {
  readonly engine: Started;
  readonly client: Client;
}

export function clientsOf(engines: readonly Started[]): Turn[] {
  return engines.flatMap((engine) => engine.running.clients.map((client) => ({ engine, client })));
}

/** A B C A B C: what drifts on the machine meets everyone alike. The first round is not counted. */
export async function alternate(
  turns: readonly Turn[],
  rounds: number,
  into: Row,
  one: (client: Client, engine: Started) => Promise<number>,
): Promise<void> {
  for (let round = -1; round < rounds; round++) {
    for (const { engine, client } of turns) {
      const sample = await one(client, engine);
      if (round >= 0) add(into, client.name, sample);
    }
  }
}

/** Each engine by its own client. */
export function firstClients(engines: readonly Started[]): Turn[] {
  return clientsOf(engines).filter(({ engine, client }) => engine.running.clients[0] === client);
}
