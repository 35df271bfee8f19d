import { formatTimestamp } from "../../../base/mod.ts";
import { type ShipMessage, severityOf } from "./message.ts";
import type { SyslogFormat, SyslogTarget } from "./plan.ts";

/** What a syslog header says beside the line. */
export interface SyslogHeader {
  readonly facility: number;
  readonly hostname: string;
  readonly tag: string;
  readonly pid: number;
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const NS_PER_MS = 1_000_000n;

/**
 * One message with its framing: RFC 5425's length in front over TLS with RFC 5424, a newline at the
 * end always. Times are those of the lines, not of the sending.
 */
export function syslogMessage(
  message: ShipMessage,
  header: SyslogHeader,
  target: Pick<SyslogTarget, "format" | "address">,
): Buffer {
  const { format, address } = target;
  const head = Buffer.from(syslogHead(message, header, format));
  const body = Buffer.concat([head, message.line, Buffer.from("\n")]);
  if (address.transport !== "tls" || !format.startsWith("rfc5424")) return body;
  return Buffer.concat([Buffer.from(`${body.byteLength} `), body]);
}

function syslogHead(message: ShipMessage, header: SyslogHeader, format: SyslogFormat): string {
  const priority = header.facility * 8 + severityOf(message.stream);
  const { hostname, tag, pid } = header;
  switch (format) {
    case "local":
      return `<${priority}>${localStamp(message.timeNs)} ${tag}[${pid}]: `;
    case "rfc3164":
      return `<${priority}>${localStamp(message.timeNs)} ${hostname} ${tag}[${pid}]: `;
    case "rfc5424":
    case "rfc5424micro": {
      const time = rfc5424Time(message.timeNs, format === "rfc5424micro");
      const name = nilOr(tag);
      return `<${priority}>1 ${time} ${nilOr(hostname)} ${name} ${pid} ${name} - `;
    }
  }
}

/** `Jan  2 15:04:05`, in local time. @see RFC 3164 section 4.1.2 */
function localStamp(timeNs: bigint): string {
  const time = new Date(Number(timeNs / NS_PER_MS));
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = String(time.getDate()).padStart(2, " ");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${MONTHS[time.getMonth()]} ${day} ${clock}`;
}

/** @see RFC 5424 section 6.2.3; in UTC */
function rfc5424Time(timeNs: bigint, micro: boolean): string {
  const [whole = "", fraction = ""] = formatTimestamp(timeNs).slice(0, -1).split(".");
  return micro ? `${whole}.${fraction.padEnd(6, "0").slice(0, 6)}Z` : `${whole}Z`;
}

/** RFC 5424 has no empty fields and no spaces in them. */
function nilOr(text: string): string {
  return text === "" ? "-" : text.replaceAll(/[^\x21-\x7e]/g, "_");
}
