/**
 * The stock docker client typed at naru and at dockerd: what a person sees must be the same. What
 * can never be the same (ids, times, sizes on disk) is replaced by a word; what differs on purpose
 * stands in DIFFERENT with its reason.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CliOptions, cli } from "../harness/cli.ts";
import { type Dockerd, dockerdLacks, startDockerd } from "../harness/dockerd.ts";
import { startEngine, type TestEngine } from "../harness/engine.ts";
import { busyboxFiles } from "../harness/rootfs.ts";
import {
  type Case,
  type Difference,
  MADE,
  names,
  onlyExit,
  run,
  SLEEP,
  seen,
  sizeless,
  sorted,
} from "./side-by-side-case.ts";
import { NETWORK_CASES, NETWORK_DIFFERENT } from "./side-by-side-networks.ts";
import { VOLUME_CASES, VOLUME_DIFFERENT } from "./side-by-side-volumes.ts";

const START_LIMIT_MS = 120_000;
const CASE_LIMIT_MS = 120_000;

const CHANGES =
  "mkdir /made; echo x > /made/file; rm /bin/ls; echo y > /etc/changed; ln -s a /made/link";

const CASES: readonly Case[] = [
  ...NETWORK_CASES,
  ...VOLUME_CASES,
  {
    name: "cp",
    steps: [
      run("create", "--name", "box", ...SLEEP),
      run("cp", "FOLDER/file", "box:/tmp/"),
      run("cp", "FOLDER/file", "box:/tmp/renamed"),
      run("cp", "FOLDER/folder", "box:/tmp"),
      run("cp", "FOLDER/folder/.", "box:/tmp/renamed-folder"),
      run("cp", "FOLDER/link", "box:/tmp/link"),
      run("cp", "-L", "FOLDER/link", "box:/tmp/followed"),
      { args: ["cp", "box:/tmp", "-"], look: names },
      { args: ["cp", "box:/tmp/renamed", "-"], look: names },
      run("cp", "box:/nowhere", "FOLDER/out"),
      run("cp", "box:/tmp/renamed/", "FOLDER/out"),
      run("cp", "FOLDER/missing", "box:/tmp"),
      run("cp", "FOLDER/file", "box:/nowhere/file"),
      run("cp", "FOLDER/folder", "box:/tmp/renamed"),
      run("cp", "FOLDER/file", "nobox:/tmp"),
      run("cp", "box:/tmp/renamed", "box:/tmp/again"),
      run("cp", "box:/tmp/renamed", "FOLDER/no/such/place"),
      run("rm", "box"),
    ],
  },
  {
    name: "diff",
    steps: [
      run("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", CHANGES),
      { args: ["diff", "box"], look: sorted },
      run("diff", "nobox"),
      run("rm", "box"),
    ],
  },
  {
    name: "commit and history",
    steps: [
      run("run", "--name", "box", "--network", "none", "busybox", "touch", "/made"),
      run("commit", "-m", "what it is", "-a", "somebody", "box", "made:1"),
      run("commit", "-c", "ENV a=b", "-c", 'CMD ["sh"]', "-c", "WORKDIR /tmp", "box", "made:2"),
      run("commit", "-c", "NONSENSE x", "box", "made:3"),
      run("commit", "box", "Made:4"),
      run("commit", "nobox", "made:5"),
      run("inspect", "-f", "{{.Author}}|{{.Comment}}|{{json .Config.Cmd}}", "made:1"),
      run("inspect", "-f", "{{json .Config.Env}}|{{.Config.WorkingDir}}", "made:2"),
      { args: ["history", "made:1"], look: sizeless },
      { args: ["history", "--no-trunc", "made:2"], look: sizeless },
      run("history", "-q", "made:1"),
      run("history", "nothing"),
      run("rm", "box"),
      run("rmi", "made:2"),
      run("rmi", "nothing"),
    ],
  },
  {
    name: "stats and top",
    steps: [
      run("run", "-d", "--name", "box", ...SLEEP),
      run("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.NetIO}}", "box"),
      run("stats", "--no-stream", "nobox"),
      run("top", "box", "-o", "comm"),
      run("top", "box", "-o", "nonsense-column"),
      run("top", "nobox"),
      run("kill", "box"),
      run("top", "box"),
      run("rm", "box"),
    ],
  },
  {
    name: "update",
    steps: [
      run("run", "-d", "--name", "box", "-m", "64m", ...SLEEP),
      run("update", "-m", "32m", "--memory-swap", "64m", "--cpu-shares", "512", "box"),
      run("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.CpuShares}}", "box"),
      run("update", "--restart", "on-failure:3", "box"),
      run("inspect", "-f", "{{json .HostConfig.RestartPolicy}}", "box"),
      run("update", "-m", "1m", "box"),
      run("update", "--restart", "sometimes", "box"),
      run("update", "box"),
      run("update", "-m", "64m", "nobox"),
      run("rm", "-f", "box"),
    ],
  },
  {
    name: "pause and unpause",
    steps: [
      run("run", "-d", "--name", "box", ...SLEEP),
      run("pause", "box"),
      run("pause", "box"),
      run("ps", "--format", "{{.Names}} {{.Status}} {{.State}}"),
      run("exec", "box", "true"),
      run("unpause", "box"),
      run("unpause", "box"),
      run("pause", "nobox"),
      run("rm", "-f", "box"),
    ],
  },
  {
    name: "rename",
    steps: [
      run("create", "--name", "box", ...MADE),
      run("create", "--name", "other", ...MADE),
      run("rename", "box", "renamed"),
      run("rename", "renamed", "other"),
      run("rename", "renamed", "bad name"),
      run("rename", "renamed", "renamed"),
      run("rename", "box", "again"),
      run("ps", "-a", "--format", "{{.Names}} {{.Status}}"),
      run("rm", "renamed", "other"),
    ],
  },
  {
    name: "export and save",
    steps: [
      run("create", "--name", "box", ...MADE),
      { args: ["export", "box"], look: names },
      { args: ["export", "nobox"], look: onlyExit },
      { args: ["save", "nothing"], look: onlyExit },
      run("save", "-o", "FOLDER/saved.tar", "busybox"),
      run("load", "-q", "-i", "FOLDER/saved.tar"),
      run("rm", "box"),
    ],
  },
  {
    name: "system df and prune",
    steps: [
      run("create", "--name", "box", ...MADE),
      run("run", "-d", "--name", "going", ...SLEEP),
      { args: ["system", "df"], look: sizeless },
      run("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"),
      { args: ["container", "prune", "-f"], look: sizeless },
      { args: ["container", "prune", "-f"], look: sizeless },
      run("container", "prune", "-f", "--filter", "nonsense=1"),
      run("create", "--name", "box", ...MADE),
      { args: ["container", "prune", "-f", "--filter", "until=10m"], look: sizeless },
      { args: ["ps", "-a", "--format", "{{.Names}}"] },
      run("rm", "-f", "going"),
    ],
  },
];

/** Where naru answers otherwise on purpose. One that excuses nothing fails the test. */
const DIFFERENT: readonly Difference[] = [
  ...NETWORK_DIFFERENT,
  ...VOLUME_DIFFERENT,
  {
    step: /cp box:\/tmp\/renamed\/ /,
    why: "paths of the host are nobody's business",
    naru: /lstat \/tmp\/renamed\/: not a directory/,
  },
  {
    step: /update --restart sometimes/,
    why: "the words of Docker since 26",
    naru: /invalid restart policy: unknown policy 'sometimes'/,
  },
  {
    step: /save nothing/,
    why: "the words of Docker's containerd store",
    naru: /No such image: nothing:latest/,
  },
  {
    step: /prune -f --filter nonsense=1/,
    why: "the words of Docker since 23",
    naru: /invalid filter 'nonsense'/,
  },
];

const lacks = dockerdLacks();
if (lacks !== undefined) console.log(`SKIPPED side by side with dockerd: ${lacks}`);

describe.skipIf(lacks !== undefined)("side by side with dockerd", () => {
  let naru: TestEngine;
  let dockerd: Dockerd;
  let work: string;
  const excused = new Set<Difference>();

  beforeAll(async () => {
    work = await mkdtemp("/tmp/naru-side-");
    [naru, dockerd] = await Promise.all([startEngine(), startDockerd()]);
    const { dockerArchive } = await busyboxFiles();
    for (const engine of [naru, dockerd]) {
      const loaded = await cli(engine, ["load", "-i", dockerArchive], { program: "docker" });
      expect(loaded.stderr).toBe("");
    }
  }, START_LIMIT_MS);

  afterAll(async () => {
    await Promise.allSettled([naru?.destroy(), dockerd?.close()]);
    await rm(work, { recursive: true, force: true });
  }, START_LIMIT_MS);

  /** What the steps of a case show at one engine, each in a folder like the other's. */
  async function play(engine: { readonly host: string }, one: Case): Promise<readonly string[]> {
    const folder = await mkdtemp(join(work, "files-"));
    await writeFile(join(folder, "file"), "content\n");
    await mkdir(join(folder, "folder"));
    await writeFile(join(folder, "folder/inner"), "inner\n");
    await symlink("file", join(folder, "link"));
    const shown: string[] = [];
    for (const { args, stdin, api, look = seen } of one.steps) {
      const real = args.map((arg) => arg.replace("FOLDER", folder));
      const options: CliOptions = {
        program: "docker",
        ...(stdin === undefined ? {} : { stdin }),
        ...(api === undefined ? {} : { env: { DOCKER_API_VERSION: api } }),
      };
      const text = look(await cli(engine, real, options));
      shown.push(`$ docker ${args.join(" ")}\n${text.replaceAll(folder, "FOLDER")}`);
    }
    return shown;
  }

  for (const one of CASES) {
    test(
      one.name,
      async () => {
        const [ours, theirs] = await Promise.all([play(naru, one), play(dockerd, one)]);
        const compared = ours.map((text, index) => {
          const other = theirs[index] ?? "";
          const entry = DIFFERENT.find(
            ({ step, naru: said }) => step.test(text) && said.test(text),
          );
          if (text === other || entry === undefined) return text;
          excused.add(entry);
          return other;
        });
        expect(compared.join("\n")).toBe(theirs.join("\n"));
      },
      CASE_LIMIT_MS,
    );
  }

  test("every difference on purpose is seen", () => {
    expect(DIFFERENT.filter((entry) => !excused.has(entry))).toEqual([]);
  });
});
