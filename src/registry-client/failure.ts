import { errorCode, errorMessage, isNaruError, NaruError } from "../base/mod.ts";

const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_UNTRUSTED",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

/** A failure that trying again will not mend, however it is named. */
export function isLasting(error: unknown): boolean {
  if (isNaruError(error)) return error.kind !== "unavailable" || error.details["lasting"] === true;
  return false;
}

/** Names what went wrong with a connection. NaruErrors pass, an abort becomes cancelled. */
export function connectionError(error: unknown, host: string, signal: AbortSignal): NaruError {
  if (signal.aborted) {
    return new NaruError("cancelled", "the request was cancelled", {}, { cause: error });
  }
  if (isNaruError(error)) return error;
  const code = errorCode(error) ?? "";
  if (CERTIFICATE_CODES.has(code)) {
    const message = `the certificate of ${host} is not trusted: ${errorMessage(error)}; put its authority into /etc/naru/certs.d/${host}/ca.crt, or name the host in insecure-registries`;
    return new NaruError("unavailable", message, { host, lasting: true }, { cause: error });
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    const message = `${host} does not speak TLS; if it should be reached over plain HTTP, name it in insecure-registries`;
    return new NaruError("unavailable", message, { host, lasting: true }, { cause: error });
  }
  const why = reasonOf(code, error);
  return new NaruError(
    "unavailable",
    `cannot reach ${host}: ${why}`,
    { host, ...(code === "" ? {} : { code }) },
    { cause: error },
  );
}

function reasonOf(code: string, error: unknown): string {
  switch (code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
    case "EPIPE":
      return "the connection was cut";
    case "ENOTFOUND":
      return "no such host";
    case "EAI_AGAIN":
      return "the name service does not answer";
    case "ETIMEDOUT":
      return "timed out";
    default:
      return errorMessage(error);
  }
}
