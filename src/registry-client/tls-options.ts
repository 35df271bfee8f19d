import type { AgentOptions } from "node:https";
import { getCACertificates } from "node:tls";
import type { TlsMaterial } from "./endpoint.ts";

/** What node:https and node:tls take. Own authorities are added to the system's, as for dockerd. */
export function tlsOptions(tls: TlsMaterial): AgentOptions {
  return {
    rejectUnauthorized: tls.verify,
    ...(tls.ca.length === 0 ? {} : { ca: [...getCACertificates("default"), ...tls.ca] }),
    ...tls.client,
  };
}

/** The system's authorities and nothing else. */
export const PUBLIC_TLS: TlsMaterial = { ca: [], client: undefined, verify: true };
