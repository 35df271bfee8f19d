import type { ExecInspect } from "../spec/mod.ts";
import type { EngineCaller } from "./engine-caller.ts";
import type { HijackedStream } from "./wire.ts";

/** `/exec` and `/containers/{id}/exec`. */
export class ExecCalls {
  readonly #client: EngineCaller;

  constructor(client: EngineCaller) {
    this.#client = client;
  }

  create(ref: string, body: object): Promise<{ Id: string }> {
    return this.#client.json("POST", `/containers/${encodeURIComponent(ref)}/exec`, { json: body });
  }

  startDetached(id: string, body: { Tty: boolean }): Promise<void> {
    return this.#client.run("POST", `/exec/${id}/start`, { json: { Detach: true, ...body } });
  }

  start(
    id: string,
    body: { Tty: boolean; ConsoleSize?: [number, number] | undefined },
    signal?: AbortSignal,
  ): Promise<HijackedStream> {
    return this.#client.hijack(`/exec/${id}/start`, { signal, json: { Detach: false, ...body } });
  }

  inspect(id: string): Promise<ExecInspect> {
    return this.#client.json("GET", `/exec/${id}/json`);
  }

  resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    return this.#client.run("POST", `/exec/${id}/resize`, {
      query: { h: size.rows, w: size.columns },
    });
  }
}
