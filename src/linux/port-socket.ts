import { isIPv6 } from "node:net";
import { close, O_CLOEXEC } from "./descriptor.ts";
import { addressOf, check, lastErrno, libc } from "./libc.ts";
import { SOCK_DGRAM, SOCK_STREAM, setSocketBuffers } from "./socket.ts";
import { AF_INET, AF_INET6, socketAddress } from "./socket-address.ts";
import { errnoOf } from "./syscall-error.ts";

export interface PortAddress {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** `0.0.0.0`, `::` (IPv6 alone), or one address of this host. */
  readonly address: string;
  readonly port: number;
}

const IPPROTO_SCTP = 132;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SHUT_RD = 0;
const MINIMAL_BUFFER_BYTES = 1; // the kernel makes its own minimum of it: nobody reads

/**
 * Takes a port without serving it: nobody else can bind it while the descriptor is open, and what
 * comes to it is refused as if nobody were there. Undefined where the kernel does not have the
 * protocol (sctp): nobody can take the port then. Throws SyscallError (EADDRINUSE, EADDRNOTAVAIL).
 */
export function holdPort({ protocol, address, port }: PortAddress): number | undefined {
  const family = isIPv6(address) ? AF_INET6 : AF_INET;
  const type = (protocol === "udp" ? SOCK_DGRAM : SOCK_STREAM) | O_CLOEXEC;
  const fd = libc().socket(family, type, protocol === "sctp" ? IPPROTO_SCTP : 0);
  if (fd === -1 && lastErrno() === errnoOf("EPROTONOSUPPORT")) return undefined;
  check("socket", fd, protocol);
  try {
    if (family === AF_INET6) setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bindPort(fd, protocol, { address, port });
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

function bindPort(
  fd: number,
  protocol: PortAddress["protocol"],
  { address, port }: { readonly address: string; readonly port: number },
): void {
  const bytes = socketAddress(address, port);
  const label = `${address}:${port}/${protocol}`;
  if (protocol === "udp") {
    setSocketBuffers(fd, { receiveBytes: MINIMAL_BUFFER_BYTES });
    check("bind", libc().bind(fd, addressOf(bytes), bytes.byteLength), label);
    return;
  }
  // With SO_REUSEADDR connections of a former server that linger do not count. Listening for an
  // instant makes sure that nobody else listens; without the option nobody can share it later.
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  check("bind", libc().bind(fd, addressOf(bytes), bytes.byteLength), label);
  check("listen", libc().listen(fd, 1), label);
  if (protocol === "tcp") check("shutdown", libc().shutdown(fd, SHUT_RD), label);
  setOption(fd, SOL_SOCKET, SO_REUSEADDR, 0);
}

function setOption(fd: number, level: number, option: number, value: number): void {
  const bytes = new Int32Array([value]);
  check("setsockopt", libc().setsockopt(fd, level, option, addressOf(bytes), 4), String(fd));
}
