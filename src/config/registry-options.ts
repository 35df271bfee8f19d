import type { DaemonOption } from "./daemon-option.ts";

/** How registries are reached. The names are dockerd's where it has them. */
export const REGISTRY_OPTIONS: readonly DaemonOption[] = [
  {
    key: "registry-mirrors",
    flag: "registry-mirror",
    type: "list",
    reloadable: true,
    help: "Mirror of Docker Hub, a URL (repeatable)",
  },
  {
    key: "mirrors",
    flag: "mirror",
    type: "mirrors",
    reloadable: true,
    help: "Mirror of any registry, host=url; * for all hosts without mirrors (repeatable)",
  },
  {
    key: "insecure-registries",
    flag: "insecure-registry",
    type: "list",
    reloadable: true,
    help: "Registry without verified TLS: host, host:port or CIDR block (repeatable)",
  },
  {
    key: "registry-certs-dirs",
    flag: "registry-certs-dir",
    type: "list",
    reloadable: true,
    help: "Folder with certificates or a hosts.toml per registry host (repeatable)",
  },
  {
    key: "offline",
    flag: "offline",
    type: "boolean",
    reloadable: true,
    help: "Ask registries on this host's loopback alone",
  },
  {
    key: "max-concurrent-downloads",
    flag: "max-concurrent-downloads",
    type: "integer",
    reloadable: true,
    help: "Layers that one pull downloads at once",
  },
  {
    key: "max-concurrent-uploads",
    flag: "max-concurrent-uploads",
    type: "integer",
    reloadable: true,
    help: "Layers that one push uploads at once",
  },
  {
    key: "max-download-attempts",
    flag: "max-download-attempts",
    type: "integer",
    reloadable: true,
    help: "Times that a request to a registry is tried",
  },
  {
    key: "registry",
    flag: "",
    type: "list",
    help: "Flags of `naru registry serve`: the engine serves a registry too",
  },
  { key: "proxies", flag: "", type: "proxies", help: "" },
  { key: "", flag: "http-proxy", type: "string", help: "Proxy for registries over HTTP" },
  { key: "", flag: "https-proxy", type: "string", help: "Proxy for registries over HTTPS" },
  { key: "", flag: "no-proxy", type: "string", help: "Hosts that are reached without a proxy" },
];
