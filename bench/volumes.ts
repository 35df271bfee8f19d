/** What volumes cost: filling one from an image, making and removing one. */
import { runClient } from "./command.ts";
import { copySources } from "./life.ts";
import { alternate, type Bench, firstClients, type Measurement, type Row, row } from "./rows.ts";

const IMAGE = "bench-files";
const VOLUME = "bench-volume";

async function volumes(bench: Bench): Promise<Row[]> {
  const { small } = copySources(bench);
  const filled = row(
    `run with an empty volume over ${small.count} files`,
    "ms",
    true,
    `run --rm -v ${VOLUME}:/copied IMAGE true`,
  );
  const made = row("volume create, then rm", "ms", true, `volume create, volume rm ${VOLUME}`);
  await bench.withEngines("tmpfs", async (engines) => {
    const turns = firstClients(engines);
    for (const { client } of turns) {
      await runClient(client, "create", "--name", "bench", "--network", "none", "busybox", "true");
      await runClient(client, "cp", small.path, "bench:/copied");
      await runClient(client, "commit", "bench", IMAGE);
      await runClient(client, "rm", "bench");
    }
    await alternate(turns, bench.quick ? 1 : 5, filled, async (client, { running }) => {
      const run = ["run", "--rm", "--network", "none", "-v", `${VOLUME}:/copied`, IMAGE];
      const { output, tookMs } = await runClient(client, ...run, "cat", "/copied/d99/f9999");
      if (!output.startsWith("9999 ")) throw new Error(`${client.name}: the volume is not filled`);
      await runClient(client, "volume", "rm", VOLUME);
      await running.settle();
      return tookMs;
    });
    await alternate(turns, bench.quick ? 1 : 20, made, async (client) => {
      const create = await runClient(client, "volume", "create", VOLUME);
      const remove = await runClient(client, "volume", "rm", VOLUME);
      return create.tookMs + remove.tookMs;
    });
    for (const { engine, client } of turns) {
      await runClient(client, "rmi", IMAGE);
      await engine.running.settle();
    }
  });
  return [filled, made];
}

export const VOLUME_MEASUREMENTS: readonly Measurement[] = [{ name: "volume", measure: volumes }];
