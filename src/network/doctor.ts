import type { Finding } from "../spec/mod.ts";
import type { ActiveNetwork } from "./active-network.ts";
import type { DoctorSubject, Endpoint } from "./contract.ts";
import type { ForwardDrop, PublishedPort } from "./firewall/contract.ts";

/** What is known of one container. */
export interface Patient extends DoctorSubject {
  readonly endpoints: readonly Endpoint[];
  readonly published: readonly PublishedPort[];
}

/** What the kernel and the other rooms say. */
export interface DoctorFacts {
  readonly from: Patient;
  /** Undefined: how the world and one container reach each other. */
  readonly to: Patient | undefined;
  readonly network: (id: string) => ActiveNetwork | undefined;
  /** Endpoints that are whole in the kernel, by id. */
  readonly intact: ReadonlySet<string>;
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** naru's own rules are loaded. */
  readonly hasRules: boolean;
  readonly drops: readonly ForwardDrop[];
  /** netd runs: it answers names and holds ports. */
  readonly netd: boolean;
}

/** Why packets of a container arrive or do not, in the order in which a person would look. */
export function diagnose(facts: DoctorFacts): Finding[] {
  const { from, to } = facts;
  const subjects = to === undefined ? [from] : [from, to];
  const stopped = subjects.filter(({ running }) => !running);
  if (stopped.length > 0) {
    return stopped.map(({ name }) => problem(`${name} does not run`, `naru start ${name}`));
  }
  const findings = subjects.flatMap((subject) => placesOf(subject, facts));
  // Where one has no network of its own, the rules between networks say nothing.
  if (!subjects.every(hasOwn)) return [...findings, ...withHost(from, to)];
  findings.push(...hostFindings(facts));
  if (to === undefined) findings.push(...outward(from, facts), ...inward(from));
  else findings.push(...between(from, to, facts));
  return findings;
}

function hasOwn({ mode }: Patient): boolean {
  return mode.kind === "bridge" || mode.kind === "named";
}

function withHost(from: Patient, to: Patient | undefined): Finding[] {
  if (to === undefined) return [];
  if (from.mode.kind === "host" && hasOwn(to)) {
    return to.endpoints.map(({ ipv4Address, ipv6Address = "", networkName }) =>
      ok(`the host reaches ${to.name} at ${ipv4Address || ipv6Address} (${networkName})`),
    );
  }
  if (to.mode.kind !== "host" || !hasOwn(from)) return [];
  return from.endpoints.map(({ gateway, ipv6Gateway = "", networkName }) =>
    note(
      `${from.name} reaches what listens on the host at ${gateway || ipv6Gateway} (${networkName}), unless the host's input rules refuse it`,
    ),
  );
}

const ok = (text: string): Finding => ({ Level: "ok", Text: text, Hint: "" });
const note = (text: string, hint = ""): Finding => ({ Level: "note", Text: text, Hint: hint });
const problem = (text: string, hint: string): Finding => ({
  Level: "problem",
  Text: text,
  Hint: hint,
});

function placesOf({ name, mode, endpoints }: Patient, facts: DoctorFacts): Finding[] {
  if (mode.kind === "host")
    return [note(`${name} is on the host's network: no rule of naru's counts`)];
  if (mode.kind === "none")
    return [problem(`${name} has no network`, "make it again with --network NETWORK")];
  if (mode.kind === "container")
    return [note(`${name} shares the network of ${mode.container}`, `ask for ${mode.container}`)];
  if (endpoints.length === 0)
    return [problem(`${name} is on no network`, `naru network connect NETWORK ${name}`)];
  return endpoints.map((endpoint) => {
    const addresses = [endpoint.ipv4Address, endpoint.ipv6Address ?? ""].filter(Boolean).join(", ");
    const where = `${name} is on ${endpoint.networkName} as ${addresses}`;
    if (facts.intact.has(endpoint.endpointId)) return ok(where);
    return problem(`${where}, but its link is gone`, `naru restart ${name}`);
  });
}

function hostFindings({ forwarding, hasRules, drops, netd, from, to }: DoctorFacts): Finding[] {
  const endpoints = [from, ...(to === undefined ? [] : [to])].flatMap((one) => one.endpoints);
  if (endpoints.length === 0) return [];
  const findings: Finding[] = [];
  const off = [
    forwarding.ipv4 ? "" : "net.ipv4.ip_forward",
    forwarding.ipv6 || !endpoints.some(({ ipv6Address = "" }) => ipv6Address !== "")
      ? ""
      : "net.ipv6.conf.all.forwarding",
  ].filter(Boolean);
  for (const name of off) {
    findings.push(
      problem(`the host does not forward: ${name} is 0`, `sysctl ${name}=1, or restart the engine`),
    );
  }
  if (!hasRules) {
    findings.push(
      problem("the engine's nftables rules are gone: something flushed them", "restart the engine"),
    );
  }
  for (const { chain, joined } of drops) {
    if (joined) findings.push(ok(`${chain} drops by policy, and lets naru's bridges pass`));
    else {
      const hint = `accept what enters and leaves by naru's bridges in a chain that ${chain} calls`;
      findings.push(problem(`${chain} of another program drops what is forwarded`, hint));
    }
  }
  if (!netd) {
    findings.push(
      problem(
        "netd does not run: names and IPv6 loopback ports are not answered",
        "restart the engine",
      ),
    );
  }
  return findings;
}

function outward({ name, endpoints }: Patient, facts: DoctorFacts): Finding[] {
  const networks = endpoints.flatMap(({ networkId }) => facts.network(networkId) ?? []);
  if (networks.length === 0) return [];
  const leading = networks.filter(({ internal }) => !internal);
  if (leading.length > 0)
    return [ok(`${name} reaches the outside by ${leading.map(({ name: one }) => one).join(", ")}`)];
  const all = networks.map(({ name: one }) => one).join(", ");
  return [
    note(
      `${name} does not reach the outside: ${all} is internal`,
      `naru network connect bridge ${name}`,
    ),
  ];
}

const EVERYWHERE: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

function inward({ name, published }: Patient): Finding[] {
  if (published.length === 0) {
    return [
      note(
        `nothing of ${name} is reached from outside: it publishes no port`,
        `naru update --publish-add HOST:PORT ${name}`,
      ),
    ];
  }
  return published.map(({ protocol, containerPort, hostAddress, hostPort }) => {
    const inside = `${containerPort}/${protocol}`;
    if (hostPort === 0) return ok(`${inside} is reached at the container's own address`);
    const family = hostAddress.includes(":") ? "IPv6" : "IPv4";
    if (EVERYWHERE.has(hostAddress)) {
      return ok(
        `${inside} is reached at port ${hostPort} of each ${family} address of this host, from everywhere`,
      );
    }
    const loopback = hostAddress === "::1" || hostAddress.startsWith("127.");
    const who = loopback ? "from this host alone" : "from wherever that address is";
    return ok(`${inside} is reached at ${hostAddress} port ${hostPort}, ${who}`);
  });
}

function between(from: Patient, to: Patient, facts: DoctorFacts): Finding[] {
  const shared = from.endpoints.flatMap((one) => {
    const other = to.endpoints.find(({ networkId }) => networkId === one.networkId);
    return other === undefined ? [] : [other];
  });
  const findings = shared.map((place) => onShared(from, to, place, facts.network(place.networkId)));
  if (findings.some(({ Level }) => Level === "ok")) return findings;
  const [network] = from.endpoints;
  if (shared.length === 0) {
    const hint = `naru network connect ${network?.networkName ?? "NETWORK"} ${to.name}`;
    findings.push(
      problem(`${from.name} and ${to.name} share no network, and networks are kept apart`, hint),
    );
  }
  const ports = to.published.filter(({ hostPort }) => hostPort !== 0);
  for (const { protocol, containerPort, hostPort } of ports) {
    findings.push(
      note(
        `${from.name} reaches ${containerPort}/${protocol} of ${to.name} at port ${hostPort} of the host's addresses`,
      ),
    );
  }
  return findings;
}

function onShared(
  from: Patient,
  to: Patient,
  place: Endpoint,
  network: ActiveNetwork | undefined,
): Finding {
  const { networkName, ipv4Address, ipv6Address = "" } = place;
  if (network?.icc === false) {
    const text = `${networkName} keeps its containers apart (icc is off)`;
    return problem(
      text,
      `make a network for both: naru network create NAME; naru network connect NAME ${from.name}; naru network connect NAME ${to.name}`,
    );
  }
  const address = ipv4Address || ipv6Address;
  const [name] = place.dnsNames ?? [];
  if (network?.named === true && name !== undefined) {
    return ok(`${from.name} reaches ${to.name} on ${networkName} as ${name} (${address})`);
  }
  return ok(
    `${from.name} reaches ${to.name} on ${networkName} at ${address}; names are answered on users' networks only`,
  );
}
