import type { CommandEntry, CommandTables } from "./command.ts";

const container = (): Promise<typeof import("./commands/container-state.ts")> =>
  import("./commands/container-state.ts");
const image = (): Promise<typeof import("./commands/image.ts")> => import("./commands/image.ts");
const files = (): Promise<typeof import("./commands/container-files.ts")> =>
  import("./commands/container-files.ts");
const archive = (): Promise<typeof import("./commands/image-archive.ts")> =>
  import("./commands/image-archive.ts");
const registry = (): Promise<typeof import("./commands/image-registry.ts")> =>
  import("./commands/image-registry.ts");
const login = (): Promise<typeof import("./commands/login.ts")> => import("./commands/login.ts");
const store = (): Promise<typeof import("./commands/image-store.ts")> =>
  import("./commands/image-store.ts");
const system = (): Promise<typeof import("./commands/system.ts")> => import("./commands/system.ts");
const networks = (): Promise<typeof import("./commands/network-change.ts")> =>
  import("./commands/network-change.ts");
const resources = (): Promise<typeof import("./commands/network.ts")> =>
  import("./commands/network.ts");
const backup = (): Promise<typeof import("./commands/volume-backup.ts")> =>
  import("./commands/volume-backup.ts");
const volume = (): Promise<typeof import("./commands/volume.ts")> => import("./commands/volume.ts");

function entry(summary: string, load: CommandEntry["load"]): CommandEntry {
  return { summary, load };
}

const CONTAINER: CommandTables["topLevel"] = {
  attach: entry(
    "Attach local standard input, output, and error streams to a running container",
    async () => (await import("./commands/attach.ts")).attachCommand,
  ),
  commit: entry(
    "Create a new image from a container's changes",
    async () => (await files()).commitCommand,
  ),
  cp: entry(
    "Copy files/folders between a container and the local filesystem",
    async () => (await import("./commands/cp.ts")).cpCommand,
  ),
  create: entry(
    "Create a new container",
    async () => (await import("./commands/create.ts")).createCommand,
  ),
  diff: entry(
    "Inspect changes to files or directories on a container's filesystem",
    async () => (await files()).diffCommand,
  ),
  exec: entry(
    "Execute a command in a running container",
    async () => (await import("./commands/exec.ts")).execCommand,
  ),
  export: entry(
    "Export a container's filesystem as a tar archive",
    async () => (await files()).exportCommand,
  ),
  kill: entry("Kill one or more running containers", async () => (await container()).killCommand),
  logs: entry(
    "Fetch the logs of a container",
    async () => (await import("./commands/logs.ts")).logsCommand,
  ),
  pause: entry(
    "Pause all processes within one or more containers",
    async () => (await container()).pauseCommand,
  ),
  port: entry(
    "List port mappings or a specific mapping for the container",
    async () => (await import("./commands/container-look.ts")).portCommand,
  ),
  rename: entry("Rename a container", async () => (await container()).renameCommand),
  restart: entry("Restart one or more containers", async () => (await container()).restartCommand),
  rm: entry("Remove one or more containers", async () => (await container()).rmCommand),
  run: entry(
    "Create and run a new container from an image",
    async () => (await import("./commands/run.ts")).runCommand,
  ),
  start: entry(
    "Start one or more stopped containers",
    async () => (await import("./commands/start.ts")).startCommand,
  ),
  stats: entry(
    "Display a live stream of container(s) resource usage statistics",
    async () => (await import("./commands/stats.ts")).statsCommand,
  ),
  stop: entry("Stop one or more running containers", async () => (await container()).stopCommand),
  top: entry(
    "Display the running processes of a container",
    async () => (await import("./commands/container-look.ts")).topCommand,
  ),
  unpause: entry(
    "Unpause all processes within one or more containers",
    async () => (await container()).unpauseCommand,
  ),
  update: entry(
    "Update configuration of one or more containers",
    async () => (await import("./commands/update.ts")).updateCommand,
  ),
  wait: entry(
    "Block until one or more containers stop, then print their exit codes",
    async () => (await container()).waitCommand,
  ),
};

const IMAGE: CommandTables["topLevel"] = {
  history: entry("Show the history of an image", async () => (await image()).historyCommand),
  import: entry(
    "Import the contents from a tarball to create a filesystem image",
    async () => (await archive()).importCommand,
  ),
  load: entry(
    "Load an image from a tar archive or STDIN",
    async () => (await archive()).loadCommand,
  ),
  pull: entry("Download an image from a registry", async () => (await registry()).pullCommand),
  push: entry("Upload an image to a registry", async () => (await registry()).pushCommand),
  save: entry(
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    async () => (await archive()).saveCommand,
  ),
  tag: entry(
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    async () => (await image()).tagCommand,
  ),
};

const PS: CommandEntry = entry(
  "List containers",
  async () => (await import("./commands/ps.ts")).psCommand,
);
const IMAGES: CommandEntry = entry("List images", async () => (await image()).imagesCommand);
const RMI: CommandEntry = entry(
  "Remove one or more images",
  async () => (await image()).rmiCommand,
);
const EVENTS: CommandEntry = entry(
  "Get real time events from the engine",
  async () => (await import("./commands/events.ts")).eventsCommand,
);
const INFO: CommandEntry = entry(
  "Display system-wide information",
  async () => (await system()).infoCommand,
);

/** The groups: `naru GROUP COMMAND`. */
export const GROUPS: CommandTables["groups"] = {
  container: {
    summary: "Manage containers",
    entries: {
      ...CONTAINER,
      inspect: entry("Display detailed information on one or more containers", async () =>
        (await import("./commands/inspect.ts")).inspectCommandOf("container"),
      ),
      ls: PS,
      list: PS,
      ps: PS,
      prune: entry(
        "Remove all stopped containers",
        async () => (await import("./commands/prune.ts")).containerPruneCommand,
      ),
    },
  },
  image: {
    summary: "Manage images",
    entries: {
      ...IMAGE,
      inspect: entry("Display detailed information on one or more images", async () =>
        (await import("./commands/inspect.ts")).inspectCommandOf("image"),
      ),
      ls: IMAGES,
      list: IMAGES,
      gc: entry(
        "Remove blobs and layers that nothing needs",
        async () => (await store()).imageCollectCommand,
      ),
      verify: entry(
        "Compare every stored byte with its digest",
        async () => (await store()).imageVerifyCommand,
      ),
      prune: entry(
        "Remove unused images",
        async () => (await import("./commands/prune.ts")).imagePruneCommand,
      ),
      rm: RMI,
      remove: RMI,
    },
  },
  manifest: {
    summary: "Look at manifests in registries",
    entries: {
      inspect: entry(
        "Display an image manifest, or manifest list",
        async () => (await import("./commands/manifest.ts")).manifestInspectCommand,
      ),
    },
  },
  network: {
    summary: "Manage networks",
    entries: {
      connect: entry(
        "Connect a container to a network",
        async () => (await networks()).networkConnectCommand,
      ),
      create: entry("Create a network", async () => (await networks()).networkCreateCommand),
      disconnect: entry(
        "Disconnect a container from a network",
        async () => (await networks()).networkDisconnectCommand,
      ),
      doctor: entry(
        "Say why a container is reached or not",
        async () => (await import("./commands/network-doctor.ts")).networkDoctorCommand,
      ),
      inspect: entry("Display detailed information on one or more networks", async () =>
        (await import("./commands/inspect.ts")).inspectCommandOf("network"),
      ),
      list: entry("List networks", async () => (await resources()).networkListCommand),
      ls: entry("List networks", async () => (await resources()).networkListCommand),
      prune: entry(
        "Remove all unused networks",
        async () => (await import("./commands/prune.ts")).networkPruneCommand,
      ),
      remove: entry(
        "Remove one or more networks",
        async () => (await networks()).networkRemoveCommand,
      ),
      rm: entry("Remove one or more networks", async () => (await networks()).networkRemoveCommand),
    },
  },
  volume: {
    summary: "Manage volumes",
    entries: {
      create: entry("Create a volume", async () => (await volume()).volumeCreateCommand),
      inspect: entry("Display detailed information on one or more volumes", async () =>
        (await import("./commands/inspect.ts")).inspectCommandOf("volume"),
      ),
      ls: entry("List volumes", async () => (await volume()).volumeListCommand),
      list: entry("List volumes", async () => (await volume()).volumeListCommand),
      prune: entry(
        "Remove unused local volumes",
        async () => (await import("./commands/prune.ts")).volumePruneCommand,
      ),
      rm: entry("Remove one or more volumes", async () => (await volume()).volumeRemoveCommand),
      remove: entry("Remove one or more volumes", async () => (await volume()).volumeRemoveCommand),
      snapshot: entry(
        "Copy what a volume holds now",
        async () => (await backup()).volumeSnapshotCommand,
      ),
      snapshots: entry("List snapshots", async () => (await backup()).volumeSnapshotsCommand),
      restore: entry(
        "Give a volume the content of one of its snapshots",
        async () => (await backup()).volumeRestoreCommand,
      ),
      export: entry(
        "Export what a volume holds as a tar archive",
        async () => (await backup()).volumeExportCommand,
      ),
      import: entry(
        "Fill a volume from a tar archive",
        async () => (await backup()).volumeImportCommand,
      ),
      update: entry(
        "Update a volume (cluster volumes only)",
        async () => (await volume()).volumeUpdateCommand,
      ),
    },
  },
  system: {
    summary: "Manage the engine",
    entries: {
      df: entry(
        "Show disk usage",
        async () => (await import("./commands/disk-usage.ts")).diskUsageCommand,
      ),
      events: EVENTS,
      info: INFO,
      prune: entry(
        "Remove unused data",
        async () => (await import("./commands/prune.ts")).systemPruneCommand,
      ),
    },
  },
};

/** `naru COMMAND`. */
export const TOP_LEVEL: CommandTables["topLevel"] = {
  ...CONTAINER,
  ...IMAGE,
  completion: entry("Print the completion script of a shell", async () =>
    (await import("./commands/completion.ts")).completionCommandOf({
      groups: GROUPS,
      topLevel: TOP_LEVEL,
    }),
  ),
  events: EVENTS,
  images: IMAGES,
  info: INFO,
  inspect: entry("Return low-level information on engine objects", async () =>
    (await import("./commands/inspect.ts")).inspectCommandOf(""),
  ),
  login: entry("Log in to a registry", async () => (await login()).loginCommand),
  logout: entry("Log out from a registry", async () => (await login()).logoutCommand),
  ps: PS,
  rmi: RMI,
  search: entry("Search a registry for images", async () => (await registry()).searchCommand),
  version: entry("Show the version information", async () => (await system()).versionCommand),
};
