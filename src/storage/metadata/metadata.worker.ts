import { type MetadataDatabase, openDatabase } from "./database.ts";
import { errorRecord } from "./database-error.ts";
import type { MetadataAnswer, MetadataRequest } from "./protocol.ts";
import { TABLES } from "./schema.ts";

/*
 * The thread that waits for the disk on behalf of the engine. It has one request at a time and
 * answers each; the grouping of commits is done by the main thread, which collects changes while
 * this one works.
 */
declare const self: Worker;

let database: MetadataDatabase | undefined;

self.onmessage = (message: MessageEvent<MetadataRequest>) => {
  self.postMessage(answer(message.data));
};

function answer(request: MetadataRequest): MetadataAnswer {
  try {
    switch (request.kind) {
      case "open": {
        const opened = openDatabase(request.path);
        database = opened;
        return { kind: "opened", tables: TABLES.map((table) => [table, opened.rows(table)]) };
      }
      case "commit":
        database?.commit(request.changes);
        return { kind: "done" };
      case "close":
        database?.close();
        database = undefined;
        return { kind: "done" };
    }
  } catch (error) {
    return { kind: "failed", error: errorRecord(error) };
  }
}
