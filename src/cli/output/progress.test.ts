import { expect, test } from "bun:test";
import type { ProgressMessage } from "../../spec/mod.ts";
import type { OutputStream } from "../io.ts";
import { showProgress } from "./progress.ts";

const MB = 1_000_000;

interface Screen extends OutputStream {
  readonly text: () => string;
}

function screen(size: { readonly columns: number; readonly rows: number } | undefined): Screen {
  let text = "";
  return {
    isTty: size !== undefined,
    columns: () => size?.columns,
    rows: () => size?.rows,
    print: (more) => {
      text += more;
    },
    write: () => Promise.resolve(),
    text: () => text,
  };
}

/** What is to be seen in the end: carriage returns, cursor movements and erased lines are done. */
function seen(text: string): string[] {
  const lines = [""];
  let [row, column] = [0, 0];
  for (const [part, up, down] of text.matchAll(
    /\u001b\[(\d+)A|\u001b\[(\d+)B|\u001b\[2K|\r|\n|[^\u001b\r\n]+/g,
  )) {
    if (up !== undefined) row -= Number(up);
    else if (down !== undefined) row += Number(down);
    else if (part === "\r") column = 0;
    else if (part === "\n") [row, column] = [row + 1, 0];
    else if (part === "\u001b[2K") lines[row] = "";
    else {
      lines[row] = (lines[row] ?? "").slice(0, column) + part;
      column += part.length;
    }
    lines[row] ??= "";
  }
  return lines;
}

async function* pull(layers: number): AsyncGenerator<ProgressMessage, void, undefined> {
  yield { status: "Pulling from library/app", id: "1" };
  for (let layer = 0; layer < layers; layer += 1) {
    yield { status: "Pulling fs layer", id: `layer${layer}` };
  }
  for (let layer = 0; layer < layers; layer += 1) {
    for (const current of [MB, 2 * MB]) {
      const progressDetail = { current, total: 2 * MB };
      yield { status: "Downloading", id: `layer${layer}`, progressDetail };
    }
    yield { status: "Pull complete", id: `layer${layer}` };
  }
  yield { status: "Status: Downloaded newer image for app:1" };
}

async function shown(
  size: { readonly columns: number; readonly rows: number } | undefined,
  layers: number,
): Promise<string> {
  const output = screen(size);
  let nowMs = 0;
  const clock = { nowMs: () => (nowMs += 250) };
  await showProgress(pull(layers), output, { quiet: false, clock });
  return output.text();
}

test("on a terminal each layer keeps its line; totals and rate go below, and a sum stays", async () => {
  const text = await shown({ columns: 60, rows: 24 }, 2);
  expect(text).toContain("1 of 2 layers, 3MB of 4MB, ");
  expect(seen(text)).toEqual([
    "1: Pulling from library/app",
    "layer0: Pull complete",
    "layer1: Pull complete",
    "Status: Downloaded newer image for app:1",
    expect.stringMatching(/^4MB in \d\.\d s, [\d.]+[kM]B\/s$/),
    "",
  ]);
});

test("no line is wider than the terminal, and no layer is drawn that cannot be redrawn", async () => {
  const text = await shown({ columns: 24, rows: 6 }, 20);
  const lines = seen(text);
  expect(Math.max(...lines.slice(0, -3).map((line) => line.length))).toBeLessThan(24);
  expect(lines.filter((line) => line.startsWith("layer"))).toHaveLength(3);
  expect(lines.at(-2)).toMatch(/^40MB in /);
});

test("in a pipe there is a line for each change and nothing else", async () => {
  expect((await shown(undefined, 1)).split("\n")).toEqual([
    "1: Pulling from library/app",
    "layer0: Pulling fs layer",
    "layer0: Downloading",
    "layer0: Pull complete",
    "Status: Downloaded newer image for app:1",
    "",
  ]);
});
