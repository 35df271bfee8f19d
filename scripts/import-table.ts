/**
 * Which folder of `src` may import which others. Anything absent is forbidden, and `import type`
 * counts. The gate `imports` turns this table into rules; change it in a decision record when a real
 * need shows, never by an exemption.
 */
export const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  base: [],
  observe: ["base"],
  events: ["base", "spec"],
  config: ["base", "spec"],
  spec: ["base"],
  linux: ["base"],
  transport: ["base"],
  plugins: ["base"],
  oci: ["base", "spec"],
  storage: ["base", "observe", "spec", "linux", "oci"],
  "registry-client": ["base", "observe", "spec", "transport", "oci"],
  "registry-server": [
    ...["base", "observe", "config", "spec", "transport", "oci", "storage"],
    "registry-client", // decision 0092
  ],
  runtime: ["base", "observe", "spec", "linux"],
  network: ["base", "observe", "events", "spec", "linux", "transport", "storage", "plugins"],
  volumes: ["base", "observe", "events", "spec", "linux", "transport", "storage", "plugins"],
  images: ["base", "observe", "events", "spec", "oci", "storage", "registry-client"],
  containers: [
    ...["base", "observe", "events", "spec", "linux", "transport", "oci", "storage"],
    ...["images", "runtime", "network", "volumes"],
  ],
  build: [
    ...["base", "observe", "events", "spec", "linux", "transport", "oci", "storage"],
    ...["images", "registry-client", "runtime", "network"],
  ],
  api: [
    ...["base", "observe", "events", "config", "spec", "transport", "oci"],
    ...["images", "containers", "build", "network", "volumes"],
  ],
  check: ["base", "spec", "linux", "storage"],
  daemon: [
    ...["base", "observe", "events", "config", "spec", "linux", "transport", "oci", "storage"],
    ...["registry-client", "registry-server", "runtime", "network", "volumes", "images"],
    ...["plugins", "containers", "build", "api", "check"],
  ],
  sdk: ["base", "spec", "transport"],
  compose: ["base", "spec", "sdk"],
  cli: ["base", "config", "spec", "oci", "sdk", "compose", "registry-client"],
  web: ["base", "spec", "sdk"],
};

/** Modules of Bun that one folder owns. */
export const OWNED_MODULES: Readonly<Record<string, string>> = {
  "bun:ffi": "linux",
  "bun:sqlite": "storage",
};
