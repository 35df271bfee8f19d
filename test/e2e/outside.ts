import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";

/**
 * A machine beyond the host: a network namespace with one link to it. It has no route back to any
 * container, so that only translated packets are answered.
 */
export class Outside {
  readonly id: string = randomBytes(3).toString("hex");
  readonly namespace: string = `nro${this.id}`;
  /** The host's end is .1 and the machine .2 of this documentation network (RFC 5737). */
  readonly address: string = "198.51.100.2";
  readonly hostAddress: string = "198.51.100.1";
  /** The same of RFC 3849. */
  readonly address6: string = "2001:db8:51::2";
  readonly hostAddress6: string = "2001:db8:51::1";

  constructor() {
    const { namespace } = this;
    const link = `nro${this.id}h`;
    ip("netns", "add", namespace);
    ip("link", "add", link, "type", "veth", "peer", "name", "up0", "netns", namespace);
    ip("addr", "add", `${this.hostAddress}/30`, "dev", link);
    ip("addr", "add", `${this.hostAddress6}/64`, "dev", link, "nodad");
    ip("link", "set", link, "up");
    ip("-n", namespace, "addr", "add", `${this.address}/30`, "dev", "up0");
    ip("-n", namespace, "addr", "add", `${this.address6}/64`, "dev", "up0", "nodad");
    ip("-n", namespace, "link", "set", "up0", "up");
    ip("-n", namespace, "link", "set", "lo", "up");
  }

  /** Answers one connection at `port` with `hello`, and tells the address that it came from. */
  async answerOnce(port: number): Promise<{ readonly peer: Promise<string> }> {
    const script = `
      const server = Bun.listen({ hostname: "0.0.0.0", port: ${port}, socket: {
        open(socket) { console.log("from " + socket.remoteAddress); socket.end("hello\\n"); },
        close() { server.stop(true); process.exit(0); },
        data() {},
      } });
      setTimeout(() => process.exit(1), 15_000);
      console.log("listening");`;
    const child = spawn("ip", ["netns", "exec", this.namespace, process.execPath, "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    child.stdout.on("data", (chunk: Buffer) => {
      told += chunk.toString();
    });
    const end = once(child, "close");
    while (!told.includes("listening")) {
      if (child.exitCode !== null) throw new Error(`nobody listens: ${told}`);
      await Bun.sleep(5);
    }
    return { peer: end.then(() => /from (?:::ffff:)?(\S+)/.exec(told)?.[1] ?? told) };
  }

  [Symbol.dispose](): void {
    ip("netns", "delete", this.namespace); // takes the link along
  }
}

function ip(...args: readonly string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}
