import { writeFileSync } from "node:fs";
import { close, O_CREAT, O_EXCL, O_RDONLY, open } from "./descriptor.ts";
import { unlinkat } from "./file.ts";
import { MS_BIND, mount, umountDetached } from "./mount.ts";
import {
  anyAddress,
  anyRoute,
  newAddress,
  newDefaultRoute,
  parseAddress,
  parseRoute,
  RTM_GETADDR,
  RTM_GETROUTE,
} from "./netlink/address.ts";
import {
  anyLink,
  deleteLink,
  getLink,
  isolatePort,
  type Link,
  linkUp,
  newBridge,
  newVeth,
  parseLink,
  RTM_GETLINK,
  setLinkMtu,
} from "./netlink/link.ts";
import { RouteSocket } from "./netlink/route-socket.ts";
import type {
  BridgeRequest,
  CreateNamespaceRequest,
  NamespaceEndpoint,
  NetnsAnswer,
  NetnsOperation,
  NetnsOperations,
  NetnsQuestion,
} from "./netns-protocol.ts";
import { CLONE_NEWNET, gettid, setns, unshare } from "./process.ts";
import { NSFS_MAGIC, statfs } from "./statfs.ts";
import { errnoOf, isSyscallError, SyscallError, syscallErrorRecord } from "./syscall-error.ts";
import { sysctlPath } from "./sysctl.ts";

/*
 * Works on network namespaces, one request at a time. This thread visits other namespaces; between
 * leaving and coming back nothing may wait, or what else runs here would act in the wrong one.
 */
interface WorkerScope {
  postMessage(message: NetnsAnswer): void;
  onmessage: ((event: MessageEvent<NetnsQuestion>) => void) | null;
}
declare const self: WorkerScope;

const ownNamespace = `/proc/self/task/${gettid()}/ns/net`;
const home = open(ownNamespace, O_RDONLY);
const host = new RouteSocket();

/** Runs `action` with this thread in the namespace of `fd`, or in a new one; always comes back. */
function inNamespace<T>(fd: number | "new", action: () => T): T {
  if (fd === "new") unshare(CLONE_NEWNET);
  else setns(fd, CLONE_NEWNET);
  try {
    return action();
  } finally {
    setns(home, CLONE_NEWNET);
  }
}

function withNamespaceSocket<T>(action: (inner: RouteSocket) => T, inner: RouteSocket): T {
  try {
    return action(inner);
  } finally {
    inner.close();
  }
}

function createNamespace(request: CreateNamespaceRequest): null {
  close(open(request.path, O_RDONLY | O_CREAT | O_EXCL, 0o600));
  try {
    const inner = inNamespace("new", () => {
      mount({ source: ownNamespace, target: request.path, flags: MS_BIND });
      return new RouteSocket(); // stays in the namespace that it was made in
    });
    withNamespaceSocket((inside) => fillNamespace(inside, request), inner);
    return null;
  } catch (error) {
    if (request.endpoint !== undefined) deleteLinks([request.endpoint.hostLink]);
    removeNamespace(request.path);
    throw error;
  }
}

function fillNamespace(inner: RouteSocket, request: CreateNamespaceRequest): void {
  inner.request({ message: linkUp("lo"), label: "lo" });
  const namespaceFd = open(request.path, O_RDONLY);
  try {
    if (request.endpoint !== undefined) connect(inner, namespaceFd, request.endpoint);
    const settings = Object.entries(request.sysctls ?? {});
    if (settings.length > 0) inNamespace(namespaceFd, () => settings.forEach(setSysctl));
  } finally {
    close(namespaceFd);
  }
}

function setSysctl([name, value]: readonly [string, string]): void {
  try {
    writeFileSync(sysctlPath(name), value);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    throw new SyscallError("sysctl", Math.abs(errno ?? errnoOf("EINVAL")), name);
  }
}

function connect(inner: RouteSocket, namespaceFd: number, endpoint: NamespaceEndpoint): void {
  const label = endpoint.hostLink;
  const bridge = linkByName(host, endpoint.bridge);
  const { innerLink, macAddress } = endpoint;
  const veth = newVeth({
    name: endpoint.hostLink,
    masterIndex: bridge.index,
    mtu: endpoint.mtu,
    peer: { name: innerLink, macAddress, namespaceFd },
  });
  host.request({ message: veth, label });
  if (endpoint.isolated) {
    host.request({ message: isolatePort(linkByName(host, label).index), label });
  }
  disableIpv6(namespaceFd, innerLink);
  const { index } = linkByName(inner, innerLink);
  const { ipv4Address: address, ipv4PrefixLength: prefixLength, gateway } = endpoint;
  inner.request(
    { message: newAddress({ index, address, prefixLength }), label: address },
    { message: linkUp(innerLink), label: innerLink },
  );
  if (gateway !== "") {
    inner.request({ message: newDefaultRoute(gateway), label: `route ${gateway}` });
  }
}

/** Without an address of its own a link must not speak IPv6: no link-local way round the rules. */
function disableIpv6(namespaceFd: number, link: string): void {
  inNamespace(namespaceFd, () => {
    try {
      writeFileSync(`/proc/sys/net/ipv6/conf/${link}/disable_ipv6`, "1");
    } catch (error) {
      // A kernel without IPv6 has no such file.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  });
}

function linkByName(socket: RouteSocket, name: string): Link {
  return parseLink(socket.ask({ message: getLink(name), label: `link ${name}` }));
}

function removeNamespace(path: string): null {
  // A crash can leave several mounts on top of each other, or the bare file.
  while (umountDetached(path));
  try {
    unlinkat(-100, path);
  } catch (error) {
    if (!isSyscallError(error, "ENOENT")) throw error;
  }
  return null;
}

function deleteLinks(names: readonly string[]): null {
  const results = host.attempt(
    names.map((name) => ({ message: deleteLink(name), label: `link ${name}` })),
  );
  for (const [index, errno] of results.entries()) {
    if (errno === 0 || errno === errnoOf("ENODEV")) continue;
    throw new SyscallError("netlink", errno, `link ${names[index]}`);
  }
  return null;
}

/** Makes what is missing: the bridge, its address, its being up. What is there stays. */
function ensureBridge(request: BridgeRequest): Link {
  const { name } = request;
  const mtu = request.fixedMtu === true ? undefined : request.mtu; // fixed by a change, below
  const made = host.attempt([
    { message: newBridge(name, request.macAddress, mtu), label: name },
  ])[0];
  if (made !== 0 && made !== errnoOf("EEXIST")) {
    throw new SyscallError("netlink", made ?? 0, `bridge ${name}`);
  }
  const { index, kind } = linkByName(host, name);
  if (kind !== "bridge") throw new SyscallError("netlink", errnoOf("EEXIST"), `bridge ${name}`);
  const address = {
    index,
    address: request.ipv4Address,
    prefixLength: request.ipv4PrefixLength,
  };
  const added = host.attempt([{ message: newAddress(address), label: address.address }])[0];
  if (added !== 0 && added !== errnoOf("EEXIST")) {
    throw new SyscallError("netlink", added ?? 0, `address ${address.address} of ${name}`);
  }
  host.request({ message: linkUp(name), label: name });
  if (request.fixedMtu === true) {
    host.request({ message: setLinkMtu(name, request.mtu), label: name });
  }
  return linkByName(host, name);
}

function listLinks(socket: RouteSocket): Link[] {
  return socket.dump(RTM_GETLINK, anyLink(), parseLink);
}

function namespaceLinks(path: string): Link[] | undefined {
  let fd: number;
  try {
    fd = open(path, O_RDONLY);
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    if (statfs(path).type !== NSFS_MAGIC) return undefined;
    const inner = inNamespace(fd, () => new RouteSocket());
    return withNamespaceSocket(listLinks, inner);
  } finally {
    close(fd);
  }
}

const OPERATIONS: {
  readonly [K in NetnsOperation]: (
    request: NetnsOperations[K]["request"],
  ) => NetnsOperations[K]["answer"];
} = {
  createNamespace,
  removeNamespace: ({ path }) => removeNamespace(path),
  deleteLinks: ({ names }) => deleteLinks(names),
  ensureBridge,
  links: () => listLinks(host),
  addresses: () => host.dump(RTM_GETADDR, anyAddress(), parseAddress),
  routes: () =>
    host.dump(RTM_GETROUTE, anyRoute(), parseRoute).filter((route) => route !== undefined),
  namespaceLinks: ({ path }) => namespaceLinks(path),
};

self.onmessage = ({ data }) => {
  const { id } = data;
  try {
    const operation = OPERATIONS[data.operation] as (request: unknown) => unknown;
    self.postMessage({ id, kind: "done", answer: operation(data.request) });
  } catch (error) {
    if (error instanceof SyscallError) {
      self.postMessage({ id, kind: "failed", failure: syscallErrorRecord(error) });
    } else {
      self.postMessage({ id, kind: "broken", message: String(error) });
    }
  }
};
