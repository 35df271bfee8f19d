/** What surrounds a daemon: service managers, certificate authorities, its own exit. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { naruCommand } from "../harness/program.ts";

const ENDS_LIMIT_MS = 10_000; // a refused start ends at once; a busy machine takes a second

/** How a daemon ended that was not meant to stay. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `naru daemon` until it ends by itself. Throws when it stays. */
export async function daemonEnds(
  args: readonly string[],
  command: readonly string[] = [...naruCommand(), "daemon"],
): Promise<Ended> {
  const [program = "", ...before] = command;
  const child = spawn(program, [...before, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), ENDS_LIMIT_MS);
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    text.stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    text.stderr += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  if (code === null) throw new Error(`the daemon stayed\n${text.stdout}${text.stderr}`);
  return { exitCode: code, ...text };
}

/** A tcp port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A process as a service manager's notification socket: collects what is sent there. */
export class NotifySocket {
  readonly path: string;
  readonly #child: ReturnType<typeof spawn>;
  #text: string = "";

  private constructor(path: string, child: ReturnType<typeof spawn>) {
    this.path = path;
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
  }

  static async open(path: string): Promise<NotifySocket> {
    // Perl is on every Debian; JavaScript runtimes have no unix datagram sockets.
    const script = `use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
      bind($s, sockaddr_un($ARGV[0])) or die $!; print "bound\\n";
      while (defined recv($s, my $text, 4096, 0)) { print "$text\\n" }`;
    const child = spawn("perl", ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
    const socket = new NotifySocket(path, child);
    await socket.expect("bound");
    return socket;
  }

  /** Resolves when `line` was sent. */
  async expect(line: string): Promise<void> {
    const endMs = Date.now() + ENDS_LIMIT_MS;
    while (!this.#text.split("\n").includes(line)) {
      if (Date.now() > endMs) throw new Error(`no "${line}" in:\n${this.#text}`);
      await Bun.sleep(10);
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** A command before the daemon's that passes a listening unix socket, as systemd does. */
export function activationLauncher(path: string): readonly string[] {
  const script = `use Socket; use POSIX; $^F = 10; my $path = shift @ARGV;
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die $!;
    bind($s, sockaddr_un($path)) or die $!; listen($s, 16) or die $!;
    POSIX::dup2(fileno($s), 3) unless fileno($s) == 3;
    $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec @ARGV or die $!;`;
  return ["perl", "-e", script, path];
}

/** Keys and certificates in `folder`: of an authority, an engine at 127.0.0.1 and a client. */
export class Authority {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    this.#openssl("req", "-x509", ...NEW_KEY, "-keyout", "ca-key.pem", "-out", "ca.pem", ...CN_CA);
    this.#issue("server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
    this.#issue("client", "extendedKeyUsage=clientAuth");
  }

  path(name: string): string {
    return join(this.folder, `${name}.pem`);
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  #issue(name: string, extension: string): void {
    const names = ["-subj", `/CN=naru test ${name}`, "-addext", extension];
    this.#openssl("req", ...NEW_KEY, "-keyout", `${name}-key.pem`, "-out", `${name}.csr`, ...names);
    const signer = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2"];
    const copied = ["-copy_extensions", "copyall", "-in", `${name}.csr`, "-out", `${name}.pem`];
    this.#openssl("x509", "-req", ...signer, ...copied);
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { cwd: this.folder, stdio: ["ignore", "ignore", "pipe"] });
  }
}

const NEW_KEY = ["-newkey", "rsa:2048", "-nodes", "-days", "2"] as const;
const CN_CA = ["-subj", "/CN=naru test authority"] as const;
