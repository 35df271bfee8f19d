/** The part of intended.ts about networks and published ports. */
import type { Intended } from "./intended-entry.ts";

export const NETWORKS: readonly Intended[] = [
  {
    why: "a refusal names who has the port",
    case: /^ports$/,
    path: /^json\.(message|State\.Error)$/,
    naru: /container \\"web\\" has the port: Bind for 0\.0\.0\.0:18080 failed: port is already allocated"$/,
  },
  {
    why: "a field that came with 1.48; older clients ignore it",
    case: /^networks$/,
    path: /^json(\.\d)?\.EnableIPv4$/,
    docker: /^absent$/,
  },
  {
    why: "the networks are what the engine under test was given, and those that the host has free",
    case: /^networks$/,
    path: /^json\.(IPAM\.Config\.0\.Subnet|Options\.com\.docker\.network\.bridge\.name)$/,
    onSomeHosts: true,
  },
  {
    why: "dockerd tells the default bridge's gateway from its second start on",
    case: /^networks$/,
    step: /^GET \/networks\/bridge$/,
    path: /^json\.IPAM\.Config\.0\.Gateway$/,
    docker: /^absent$/,
  },
  {
    why: "a network in use says by whom, as newer engines do",
    case: /^networks$/,
    step: /^DELETE \/networks\/golden$/,
    path: /^json\.message$/,
    naru: /^"error while removing network: network golden has active endpoints \(containers <c:12>\)"$/,
  },
  {
    why: "what the client got wrong is no failure of the engine",
    case: /^networks$/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^40[03]$/,
  },
  {
    why: "the newer engine's words",
    case: /^networks$/,
    path: /^json\.message$/,
    naru: /^"(network name cannot be empty|invalid filter 'nonsense')"$/,
  },
];
