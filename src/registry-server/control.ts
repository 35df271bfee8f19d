import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { NaruError } from "../base/mod.ts";
import type { Logger } from "../observe/mod.ts";
import { createHttpServer, type Listener, listen, writeDrained } from "../transport/mod.ts";
import type { GarbageLine } from "./garbage.ts";

/** Where a running server takes orders from whoever may read its root. */
export function controlPath(root: string): string {
  return join(root, "control.sock");
}

export type CollectGarbage = (dryRun: boolean) => AsyncIterable<GarbageLine>;

/** Serves `POST /gc?dry-run=1` on a socket under the root: JSON lines, as they are decided. */
export async function serveControl(
  root: string,
  collect: CollectGarbage,
  logger: Logger,
): Promise<Listener> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = request.url ?? "";
    if (request.method !== "POST" || !/^\/gc(?:\?|$)/.test(url)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Content-Type": "application/x-ndjson" });
    for await (const one of collect(url.includes("dry-run=1"))) {
      await writeDrained(response, `${JSON.stringify(one)}\n`);
    }
    response.end('{"done":true}\n');
  };
  const server = createHttpServer({
    request: (request, response) => {
      answer(request, response).catch((error: unknown) => {
        logger.error("an order failed", { url: request.url, error });
        response.destroy();
      });
    },
    wantsConnection: () => false,
    connection: ({ socket }) => socket.destroy(),
  });
  return await listen(server, {
    ...{ kind: "unix", path: controlPath(root), mode: 0o600, groupId: undefined },
  });
}

/** Asks the server of `root`. Undefined when none runs. */
export async function askServer(
  root: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<AsyncIterable<GarbageLine> | undefined> {
  let answer: Response;
  try {
    answer = await fetch(`http://registry/gc${dryRun ? "?dry-run=1" : ""}`, {
      ...{ method: "POST", unix: controlPath(root) },
    });
  } catch {
    return undefined;
  }
  return linesOf(answer);
}

async function* linesOf(answer: Response): AsyncGenerator<GarbageLine, void, undefined> {
  let rest = "";
  let done = false;
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      const value = JSON.parse(text) as GarbageLine & { done?: boolean };
      if (value.done === true) done = true;
      else yield value;
    }
  }
  if (!done) throw new NaruError("unavailable", "the server broke off: its log says why");
}
