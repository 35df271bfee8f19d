import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Serves the address that a client is seen with, at port 80. */
export const SERVER: string = [
  "mkdir -p /www/cgi-bin",
  "printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' > /www/cgi-bin/who",
  "chmod +x /www/cgi-bin/who",
  "exec httpd -f -p 80 -h /www",
].join("; ");

/** What a server says of a client that comes from where `prefix` runs it; "" when it gets no answer. */
export async function who(
  address: string,
  port: number,
  prefix: readonly string[] = [],
): Promise<string> {
  const host = address.includes(":") ? `[${address}]` : address;
  const url = `http://${host}:${port}/cgi-bin/who`;
  const args = [...prefix, "curl", "-sg", "-m", "1", url];
  return await execute("env", args).then(
    ({ stdout }) => seen(stdout),
    () => "",
  );
}

/** The server listens on both families with one socket. */
const seen = (text: string): string => text.trim().replace(/^\[::ffff:(.*)\]$/, "$1");
