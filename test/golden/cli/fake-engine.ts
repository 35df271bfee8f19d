/**
 * An engine that runs nothing: it answers what a command line client needs to go on and keeps every
 * create request, so that two clients can be compared by what they send.
 */
export interface RecordedCreate {
  /** The query of the request: `name`, `platform`. */
  readonly query: Record<string, string>;
  readonly body: unknown;
}

export interface FakeEngine extends AsyncDisposable {
  readonly host: string;
  readonly creates: RecordedCreate[];
}

const HEADERS: Record<string, string> = {
  "Api-Version": "1.49",
  Ostype: "linux",
  Server: "Docker/28.2.2 (linux)",
  "Content-Type": "application/json",
};

/** Listens on a unix socket. The caller gives a path in a folder of its own. */
export function startFakeEngine(socketPath: string): FakeEngine {
  const creates: RecordedCreate[] = [];
  const server = Bun.serve({
    unix: socketPath,
    async fetch(request) {
      const url = new URL(request.url);
      const path = url.pathname.replace(/^\/v\d+\.\d+/, "");
      if (path === "/_ping") return new Response("OK", { headers: HEADERS });
      if (path === "/info") {
        return Response.json({ OSType: "linux", ServerVersion: "28.2.2" }, { headers: HEADERS });
      }
      if (path === "/containers/create") {
        creates.push({
          query: Object.fromEntries(url.searchParams),
          body: await request.json(),
        });
        return Response.json({ Id: "c0ffee", Warnings: [] }, { status: 201, headers: HEADERS });
      }
      if (path.startsWith("/containers/") && path.endsWith("/start")) {
        return new Response(null, { status: 204, headers: HEADERS });
      }
      return Response.json(
        { message: `page not found: ${path}` },
        { status: 404, headers: HEADERS },
      );
    },
  });
  return {
    host: `unix://${socketPath}`,
    creates,
    async [Symbol.asyncDispose](): Promise<void> {
      await server.stop(true);
    },
  };
}
