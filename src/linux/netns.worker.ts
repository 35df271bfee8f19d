import { writeFileSync } from "node:fs";
import { close, O_CREAT, O_EXCL, O_RDONLY, open } from "./descriptor.ts";
import { unlinkat } from "./file.ts";
import { MS_BIND, mount, umountDetached } from "./mount.ts";
import {
  AF_INET,
  AF_INET6,
  anyAddress,
  anyRoute,
  deleteDefaultRoute,
  newAddress,
  parseAddress,
  parseRoute,
  RTM_GETADDR,
  RTM_GETROUTE,
  setDefaultRoute,
  setLinkRoute,
} from "./netlink/address.ts";
import {
  anyLink,
  deleteLink,
  getLink,
  hairpinPort,
  isolatePort,
  type Link,
  linkUp,
  newBridge,
  newDummy,
  newSharedLink,
  newVeth,
  newVlan,
  parseLink,
  RTM_GETLINK,
  type SharedLinkKind,
  setLinkMtu,
} from "./netlink/link.ts";
import { RouteSocket } from "./netlink/route-socket.ts";
import type {
  BridgeRequest,
  CreateNamespaceRequest,
  DefaultRoutes,
  NamespaceEndpoint,
  NetnsAnswer,
  NetnsOperation,
  NetnsOperations,
  NetnsQuestion,
  ParentRequest,
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
    deleteLinks(request.endpoints.flatMap(({ hostLink }) => (hostLink === "" ? [] : [hostLink])));
    removeNamespace(request.path);
    throw error;
  }
}

function fillNamespace(inner: RouteSocket, request: CreateNamespaceRequest): void {
  inner.request({ message: linkUp("lo"), label: "lo" });
  const namespaceFd = open(request.path, O_RDONLY);
  try {
    for (const endpoint of request.endpoints) connect(inner, namespaceFd, endpoint);
    setRoutes(inner, request.routes);
    const settings = Object.entries(request.sysctls ?? {});
    if (settings.length > 0) inNamespace(namespaceFd, () => settings.forEach(setSysctl));
  } finally {
    close(namespaceFd);
  }
}

/** Runs `action` with a socket in the namespace that is bound to `path`. */
function inBound<T>(path: string, action: (inner: RouteSocket, namespaceFd: number) => T): T {
  const namespaceFd = open(path, O_RDONLY);
  try {
    const inner = inNamespace(namespaceFd, () => new RouteSocket());
    return withNamespaceSocket((inside) => action(inside, namespaceFd), inner);
  } finally {
    close(namespaceFd);
  }
}

function addEndpoint(path: string, endpoint: NamespaceEndpoint): null {
  return inBound(path, (inner, namespaceFd) => {
    try {
      connect(inner, namespaceFd, endpoint);
    } catch (error) {
      if (endpoint.hostLink !== "") deleteLinks([endpoint.hostLink]);
      throw error;
    }
    return null;
  });
}

function removeEndpoint(path: string, innerLink: string): null {
  return inBound(path, (inner) => {
    const message = deleteLink(innerLink);
    const errno = inner.attempt([{ message, label: innerLink }])[0] ?? 0;
    if (errno === 0 || errno === errnoOf("ENODEV")) return null;
    throw new SyscallError("netlink", errno, `link ${innerLink}`);
  });
}

function setRoutes(inner: RouteSocket, routes: DefaultRoutes): void {
  for (const [family, to] of [
    [AF_INET, routes.ipv4],
    [AF_INET6, routes.ipv6],
  ] as const) {
    if (to.startsWith("dev ")) {
      const { index } = linkByName(inner, to.slice("dev ".length));
      inner.request({ message: setLinkRoute(family, index), label: `route ${to}` });
    } else if (to !== "") {
      inner.request({ message: setDefaultRoute(to), label: `route ${to}` });
    }
  }
}

/** As setRoutes, and what is not wanted any more goes. */
function replaceRoutes(path: string, routes: DefaultRoutes): null {
  return inBound(path, (inner) => {
    for (const [family, to] of [
      [AF_INET, routes.ipv4],
      [AF_INET6, routes.ipv6],
    ] as const) {
      if (to === "") inner.attempt([{ message: deleteDefaultRoute(family), label: "route" }]);
    }
    setRoutes(inner, routes);
    return null;
  });
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
  if (endpoint.shared === undefined) connectVeth(namespaceFd, endpoint);
  else connectShared(namespaceFd, endpoint, endpoint.shared);
  const { innerLink, ipv4Address, ipv6Address } = endpoint;
  setIpv6(namespaceFd, innerLink, ipv6Address !== "");
  const { index } = linkByName(inner, innerLink);
  const addresses = [
    { index, address: ipv4Address, prefixLength: endpoint.ipv4PrefixLength },
    { index, address: ipv6Address, prefixLength: endpoint.ipv6PrefixLength },
  ].filter(({ address }) => address !== "");
  inner.request(...addresses.map((one) => ({ message: newAddress(one), label: one.address })), {
    message: linkUp(innerLink),
    label: innerLink,
  });
}

function connectVeth(namespaceFd: number, endpoint: NamespaceEndpoint): void {
  const label = endpoint.hostLink;
  const bridge = linkByName(host, endpoint.parent);
  const { innerLink, macAddress } = endpoint;
  const veth = newVeth({
    name: label,
    masterIndex: bridge.index,
    mtu: endpoint.mtu === 0 ? bridge.mtu : endpoint.mtu,
    peer: { name: innerLink, macAddress, namespaceFd },
  });
  host.request({ message: veth, label });
  if (endpoint.isolated) {
    host.request({ message: isolatePort(linkByName(host, label).index), label });
  }
}

function connectShared(
  namespaceFd: number,
  endpoint: NamespaceEndpoint,
  shared: SharedLinkKind,
): void {
  const { index: parentIndex } = linkByName(host, endpoint.parent);
  const { innerLink: name, macAddress, mtu } = endpoint;
  const message = newSharedLink({ name, parentIndex, shared, macAddress, mtu, namespaceFd });
  host.request({ message, label: `${shared.kind} of ${endpoint.parent}` });
}

/**
 * Without an address of its own a link must not speak IPv6: no link-local way round the rules. With
 * one it takes no advertisements, since nobody but the engine says where things are.
 */
function setIpv6(namespaceFd: number, link: string, wanted: boolean): void {
  const settings = wanted ? { disable_ipv6: "0", accept_ra: "0" } : { disable_ipv6: "1" };
  inNamespace(namespaceFd, () => {
    for (const [name, value] of Object.entries(settings)) {
      try {
        writeFileSync(`/proc/sys/net/ipv6/conf/${link}/${name}`, value);
      } catch (error) {
        // A kernel without IPv6 has no such file.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  });
}

/** A link that is there is taken as it is. */
function ensureParent({ name, make }: ParentRequest): boolean {
  if (make.kind === "none") {
    linkByName(host, name);
    return false;
  }
  const message =
    make.kind === "dummy"
      ? newDummy(name)
      : newVlan(name, linkByName(host, make.parent).index, make.id);
  const errno = host.attempt([{ message, label: name }])[0] ?? 0;
  if (errno === 0) return true;
  if (errno === errnoOf("EEXIST")) return false;
  throw new SyscallError("netlink", errno, `${make.kind} link ${name}`);
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

function hairpin(label: string): null {
  host.request({ message: hairpinPort(linkByName(host, label).index), label });
  return null;
}

function deleteLinks(names: readonly string[]): null {
  if (names.length === 0) return null; // an empty message is no data to send
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
  const addresses = [
    { index, address: request.ipv4Address, prefixLength: request.ipv4PrefixLength },
    { index, address: request.ipv6Address, prefixLength: request.ipv6PrefixLength },
  ].filter(({ address }) => address !== "");
  for (const one of addresses) {
    const added = host.attempt([{ message: newAddress(one), label: one.address }])[0];
    if (added === 0 || added === errnoOf("EEXIST")) continue;
    throw new SyscallError("netlink", added ?? 0, `address ${one.address} of ${name}`);
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
  addEndpoint: ({ path, endpoint }) => addEndpoint(path, endpoint),
  removeEndpoint: ({ path, innerLink }) => removeEndpoint(path, innerLink),
  setRoutes: ({ path, routes }) => replaceRoutes(path, routes),
  hairpin: ({ hostLink }) => hairpin(hostLink),
  ensureParent,
  addresses: () =>
    [AF_INET, AF_INET6].flatMap((family) =>
      host.dump(RTM_GETADDR, anyAddress(family), parseAddress),
    ),
  routes: () =>
    [AF_INET, AF_INET6]
      .flatMap((family) => host.dump(RTM_GETROUTE, anyRoute(family), parseRoute))
      .filter((route) => route !== undefined),
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
