import type { CliResult } from "../harness/cli.ts";
import {
  type Case,
  type Difference,
  MADE,
  run,
  SLEEP,
  type Step,
  seen,
  sizeless,
} from "./side-by-side-case.ts";

/** Where the engines keep their volumes is their own. */
const placeless = (result: CliResult): string =>
  seen(result).replace(/\/[\w./-]+\/volumes\//g, "<volumes>/");

const ONCE = ["run", "--rm", "--network", "none"] as const;
const LIST = ["volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Labels}}"] as const;
const MOUNTS =
  "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Mode}} {{.RW}} {{.Propagation}}{{println}}{{end}}";
/** Named volumes go too, which is so until API 1.42; in any order. */
const PRUNE: Step = {
  args: ["volume", "prune", "-f"],
  api: "1.41",
  look: (result) => sizeless(result).split("\n").toSorted().join("\n"),
};
/** The words of the kernel's and the client's help differ by version; what is refused does not. */
const firstLine = (result: CliResult): string => seen(result).split("\n").slice(0, 3).join("\n");

export const VOLUME_CASES: readonly Case[] = [
  {
    name: "volume create, ls, inspect and rm",
    steps: [
      run("volume", "create", "one"),
      run("volume", "create", "one"),
      run("volume", "create", "--label", "a=b", "two"),
      run("volume", "create", "--label", "a", "-d", "local", "five"),
      run("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "three"),
      run("volume", "create", "-o", "nonsense=1", "four"),
      run("volume", "create", "-o", "type=tmpfs", "four"),
      run("volume", "create", "-o", "o=ro", "four"),
      run("volume", "create", "-d", "nowhere", "four"),
      run("volume", "create", "../four"),
      run("volume", "create", "x"),
      run("volume", "create", "-bad"),
      run("volume", "create", "two words"),
      run("volume", "ls"),
      run("volume", "ls", "-q"),
      run(...LIST, "-f", "label=a"),
      run(...LIST, "-f", "label=a=c"),
      run(...LIST, "-f", "name=t"),
      run(...LIST, "-f", "driver=local", "-f", "dangling=true"),
      run("volume", "ls", "-f", "dangling=maybe"),
      run("volume", "ls", "-f", "nonsense=1"),
      { args: ["volume", "inspect", "two"], look: placeless },
      { args: ["volume", "inspect", "three"], look: placeless },
      run(
        "volume",
        "inspect",
        "-f",
        "{{json .Options}} {{json .Labels}} {{.Scope}}",
        "one",
        "three",
      ),
      { args: ["volume", "inspect", "one", "nothing"], look: placeless },
      run("volume", "rm", "one", "nothing", "two", "five"),
      run("volume", "rm", "-f", "nothing"),
      run("volume", "rm", "three"),
      run("volume", "ls", "-q"),
    ],
  },
  {
    name: "volumes that containers use, and prune",
    steps: [
      run("create", "--name", "box", "-v", "used:/v", "-v", "/anonymous", ...MADE),
      run("volume", "create", "idle"),
      run("volume", "rm", "used"),
      run("volume", "rm", "-f", "used"),
      run("volume", "ls", "-q", "-f", "dangling=true"),
      { args: ["volume", "prune", "-f", "--filter", "label=none"], look: sizeless },
      run("volume", "prune", "-f", "--filter", "nonsense=1"),
      PRUNE,
      run("volume", "ls", "-q", "-f", "name=idle"),
      { args: ["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"] },
      run("rm", "-v", "box"),
      run("volume", "ls"),
      run("volume", "rm", "used"),
      run("run", "--name", "box", "-v", "named:/n", "-v", "/a", ...MADE),
      run("rm", "box"),
      run("volume", "ls"),
      PRUNE,
      run(...ONCE, "-v", "/gone", "-v", "kept:/k", "busybox", "touch", "/k/file", "/gone/file"),
      run("volume", "ls"),
      run("volume", "rm", "kept"),
    ],
  },
  {
    name: "run -v",
    steps: [
      run(...ONCE, "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file"),
      run(...ONCE, "-v", "data:/d:ro", "busybox", "sh", "-c", "cat /d/file; echo x > /d/file"),
      run(...ONCE, "-v", "etc:/etc", "busybox", "cat", "/etc/passwd"),
      run(...ONCE, "-v", "empty:/etc:nocopy", "busybox", "ls", "/etc/passwd"),
      run(...ONCE, "-v", "FOLDER:/f", "busybox", "cat", "/f/file"),
      run(...ONCE, "-v", "FOLDER:/f:ro", "busybox", "touch", "/f/file"),
      run(...ONCE, "-v", "FOLDER/file:/a/b/c", "busybox", "cat", "/a/b/c"),
      run(...ONCE, "-v", "FOLDER/new/er:/f", "busybox", "ls", "-ld", "/f"),
      run(...ONCE, "-v", "FOLDER:/f", "busybox", "ls", "/f/new"),
      run(...ONCE, "-v", "data:relative", "busybox", "true"),
      run(...ONCE, "-v", "data:/", "busybox", "true"),
      run(...ONCE, "-v", "data:/d:nonsense", "busybox", "true"),
      run(...ONCE, "-v", "data:/d:ro,rw", "busybox", "true"),
      run(...ONCE, "-v", "da ta:/d", "busybox", "true"),
      run("volume", "create", "other"), // the client's order is by chance, and dockerd makes the first
      run(...ONCE, "-v", "data:/d", "-v", "other:/d", "busybox", "true"),
      run(...ONCE, "-v", "data:/d:z", "busybox", "cat", "/d/file"),
      run(...ONCE, "-v", "FOLDER:/f:rshared", "busybox", "true"),
      run(...ONCE, "--tmpfs", "/t:size=64k,mode=1777", "busybox", "ls", "-ld", "/t"),
      run(...ONCE, "--tmpfs", "/t:nonsense", "busybox", "true"),
      run("create", "--name", "box", "-v", "data:/d:ro", "--tmpfs", "/t", ...MADE),
      run("inspect", "-f", "{{json .HostConfig.Binds}} {{json .HostConfig.Tmpfs}}", "box"),
      run("rm", "box"),
      run("volume", "rm", "data", "etc", "empty", "other"),
    ],
  },
  {
    name: "run --mount",
    steps: [
      run(...ONCE, "--mount", "type=volume,src=mm,dst=/m", "busybox", "touch", "/m/file"),
      run(...ONCE, "--mount", "src=mm,dst=/m,readonly", "busybox", "touch", "/m/file"),
      run(...ONCE, "--mount", "type=volume,src=mm,dst=/etc,volume-nocopy", "busybox", "ls", "/etc"),
      run(...ONCE, "--mount", "type=bind,src=FOLDER,dst=/f", "busybox", "cat", "/f/file"),
      run(...ONCE, "--mount", "type=bind,src=FOLDER/nowhere,dst=/f", "busybox", "true"),
      run(...ONCE, "--mount", "type=bind,src=relative,dst=/f", "busybox", "true"),
      run(...ONCE, "--mount", "type=bind,dst=/f", "busybox", "true"),
      run(...ONCE, "--mount", "type=volume,src=mm", "busybox", "true"),
      run(...ONCE, "--mount", "type=volume,src=mm,dst=relative", "busybox", "true"),
      run(
        ...ONCE,
        "--mount",
        "type=tmpfs,dst=/t,tmpfs-mode=0700",
        "busybox",
        "stat",
        "-c",
        "%a",
        "/t",
      ),
      run(...ONCE, "--mount", "type=tmpfs,src=x,dst=/t", "busybox", "true"),
      run(...ONCE, "--mount", "type=magic,dst=/t", "busybox", "true"),
      run(...ONCE, "--mount", "type=npipe,src=x,dst=/t", "busybox", "true"),
      run("volume", "create", "nn"), // dockerd makes it and then finds what is wrong
      run(...ONCE, "--mount", "src=mm,dst=/m", "--mount", "src=nn,dst=/m", "busybox", "true"),
      run(...ONCE, "--mount", "src=mm,dst=/m", "-v", "nn:/m", "busybox", "true"),
      {
        args: [...ONCE, "--mount", "type=volume,src=mm,dst=/m,nonsense=1", "busybox", "true"],
        look: firstLine,
      },
      run("create", "--name", "box", "--mount", "src=ll,dst=/m,volume-label=a=b", ...MADE),
      run("volume", "inspect", "-f", "{{json .Labels}}", "ll"),
      run("rm", "-v", "box"),
      run("volume", "rm", "mm", "nn", "ll"),
    ],
  },
  {
    name: "run --volumes-from",
    steps: [
      run("create", "--name", "from", "-v", "shared:/s", "-v", "FOLDER:/f:ro", "-v", "/a", ...MADE),
      run(...ONCE, "--volumes-from", "from", "busybox", "sh", "-c", "touch /s/x /a/x; cat /f/file"),
      run(...ONCE, "--volumes-from", "from", "busybox", "touch", "/f/file"),
      run(...ONCE, "--volumes-from", "from:ro", "busybox", "touch", "/s/x"),
      run(...ONCE, "--volumes-from", "from:rw", "busybox", "ls", "/s", "/a"),
      run(...ONCE, "--volumes-from", "from:nonsense", "busybox", "true"),
      run(...ONCE, "--volumes-from", "nobody", "busybox", "true"),
      run("create", "--name", "box", "--volumes-from", "from", "-v", "own:/s", ...SLEEP),
      run("inspect", "-f", "{{json .HostConfig.VolumesFrom}}", "box"),
      {
        args: ["inspect", "-f", MOUNTS, "box"],
        look: (result) => seen(result).split("\n").toSorted().join("\n"),
      },
      run("rm", "-v", "from"),
      run("start", "box"),
      run("exec", "box", "ls", "/a", "/s"),
      run("rm", "-f", "-v", "box"),
      run("volume", "ls"),
      run("volume", "rm", "shared", "own"),
    ],
  },
];

export const VOLUME_DIFFERENT: readonly Difference[] = [
  {
    step: /volume (?:ls|prune) .*-f(?:ilter)? (?:nonsense|dangling)=/,
    why: "the words of Docker since 23",
    naru: /invalid filter '/,
  },
];
