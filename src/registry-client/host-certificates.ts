import { readdir, readFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { errorCode, errorMessage, MiB, NaruError } from "../base/mod.ts";
import type { TlsMaterial } from "./endpoint.ts";

const CERTIFICATE_BYTES_MAX: number = 1 * MiB; // a bundle of all public authorities is 220 KiB

/**
 * Docker's layout of a host's folder: every `*.crt` is an authority, `NAME.cert` with `NAME.key` a
 * client certificate. Undefined when there is no folder. Throws invalid_argument naming the file.
 * @see docs.docker.com "Verify repository client with certificates"
 */
export async function readDockerCerts(
  folder: string,
): Promise<Pick<TlsMaterial, "ca" | "client"> | undefined> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "")) return undefined;
    throw unreadable(folder, error);
  }
  const ca: string[] = [];
  let client: TlsMaterial["client"];
  for (const name of names) {
    if (name.endsWith(".crt")) ca.push(await readPem(join(folder, name)));
    else if (name.endsWith(".cert")) {
      const key = `${name.slice(0, -".cert".length)}.key`;
      if (!names.includes(key)) {
        const message = `missing key ${key} for client certificate ${name} in ${folder}; CA certificates must use the extension .crt`;
        throw new NaruError("invalid_argument", message);
      }
      client ??= {
        cert: await readPem(join(folder, name)),
        key: await readPem(join(folder, key)),
      };
    } else if (name.endsWith(".key") && !names.includes(`${name.slice(0, -4)}.cert`)) {
      const message = `missing client certificate ${name.slice(0, -4)}.cert for key ${name} in ${folder}`;
      throw new NaruError("invalid_argument", message);
    }
  }
  return { ca, client };
}

/** A PEM file; a relative name is below `folder`. */
export async function readPem(name: string, folder = ""): Promise<string> {
  const path = isAbsolute(name) ? name : join(folder, name);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
  if (text.length > CERTIFICATE_BYTES_MAX || !text.includes("-----BEGIN ")) {
    throw new NaruError("invalid_argument", `${path} is not in PEM form`);
  }
  return text;
}

function unreadable(path: string, cause: unknown): NaruError {
  const message = `cannot read ${path}: ${errorMessage(cause)}`;
  return new NaruError("invalid_argument", message, { path }, { cause });
}
