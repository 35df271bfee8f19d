/** The archives that cases send: made from Debian's static busybox, the same bytes each time. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BUSYBOX = "/bin/busybox"; // Debian package busybox-static
const APPLETS = [
  "cat",
  "chmod",
  "date",
  "dd",
  "echo",
  "env",
  "false",
  "head",
  "hostname",
  "id",
  "ip",
  "kill",
  "ls",
  "mkdir",
  "mount",
  "printf",
  "ps",
  "pwd",
  "rm",
  "seq",
  "sh",
  "sleep",
  "stat",
  "stty",
  "tail",
  "touch",
  "true",
  "wc",
];
const CREATED = "2026-01-02T03:04:05.678901234Z";
const CREATED_LATER = "2026-02-03T04:05:06Z"; // lists are sorted by it
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export type Archives = ReadonlyMap<string, Uint8Array>;

/** The archives by name: `base`, `derived`, `untagged`, `rootfs`, `garbage`, `empty`. */
export function makeArchives(): Archives {
  const work = mkdtempSync(join(tmpdir(), "naru-golden-images-"));
  try {
    const rootfs = rootfsTar(join(work, "rootfs"));
    const extra = extraTar(join(work, "extra"));
    return new Map([
      ["base", dockerArchive(join(work, "base"), { layers: [rootfs], tags: ["naru-golden:1"] })],
      [
        "derived",
        dockerArchive(join(work, "derived"), {
          layers: [rootfs, extra],
          tags: ["naru-golden:derived", "naru-golden:other"],
          created: CREATED_LATER,
          config: {
            User: "1000:1000",
            ExposedPorts: { "80/tcp": {}, "53/udp": {} },
            Env: [PATH, "A=1"],
            Entrypoint: ["/bin/sh", "-c"],
            Cmd: ["echo derived"],
            Volumes: { "/data": {} },
            WorkingDir: "/srv",
            Labels: { "org.example.kind": "derived" },
            StopSignal: "SIGINT",
          },
        }),
      ],
      [
        "untagged",
        dockerArchive(join(work, "untagged"), {
          layers: [rootfs, extra],
          tags: [],
          created: CREATED_LATER,
        }),
      ],
      ["rootfs", rootfs],
      ["garbage", Buffer.from("this is no tar archive, and it is long enough to be looked at\n")],
      ["empty", Buffer.alloc(10_240)],
    ]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function rootfsTar(root: string): Uint8Array {
  for (const folder of ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "srv"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  cpSync(BUSYBOX, join(root, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(root, "bin", applet));
  writeFileSync(join(root, "bin/notexec"), "#!/bin/sh\n", { mode: 0o644 });
  const users = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/srv:/bin/sh\n";
  writeFileSync(join(root, "etc/passwd"), users);
  writeFileSync(join(root, "etc/group"), "root:x:0:\nworker:x:1000:\nextra:x:44:worker\n");
  return tarOf(root);
}

function extraTar(root: string): Uint8Array {
  mkdirSync(join(root, "srv"), { recursive: true });
  mkdirSync(join(root, "data"), { recursive: true });
  writeFileSync(join(root, "srv/hello"), "hello\n");
  writeFileSync(join(root, "data/seed"), "seed\n");
  return tarOf(root);
}

interface ImageOptions {
  readonly layers: readonly Uint8Array[];
  readonly tags: readonly string[];
  readonly created?: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

function dockerArchive(root: string, options: ImageOptions): Uint8Array {
  mkdirSync(root, { recursive: true });
  const layerFiles = options.layers.map((layer, index) => {
    mkdirSync(join(root, `layer${index}`));
    writeFileSync(join(root, `layer${index}/layer.tar`), layer);
    return `layer${index}/layer.tar`;
  });
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    created: options.created ?? CREATED,
    config: options.config ?? { Env: [PATH], Cmd: ["sh"], Labels: { "org.example.golden": "1" } },
    history: [
      ...layerFiles.map((name) => ({
        created: CREATED,
        created_by: `ADD ${name}`,
        comment: "golden",
      })),
      { created: CREATED, created_by: "CMD", empty_layer: true },
    ],
    rootfs: { type: "layers", diff_ids: options.layers.map((layer) => `sha256:${sha256(layer)}`) },
  });
  const configFile = `${sha256(Buffer.from(config))}.json`;
  writeFileSync(join(root, configFile), config);
  const repoTags = options.tags.length === 0 ? null : options.tags;
  const manifest = [{ Config: configFile, RepoTags: repoTags, Layers: layerFiles }];
  writeFileSync(join(root, "manifest.json"), JSON.stringify(manifest));
  return tarOf(root);
}

function tarOf(root: string): Uint8Array {
  const flags = ["--sort=name", "--mtime=@1767323045", "--owner=0", "--group=0", "--numeric-owner"];
  const done = Bun.spawnSync(["tar", ...flags, "--format=ustar", "-C", root, "-cf", "-", "."]);
  if (!done.success) throw new Error(`tar failed: ${done.stderr.toString()}`);
  return new Uint8Array(done.stdout);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
