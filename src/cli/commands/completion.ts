import type { Command, CommandTables } from "../command.ts";
import { GLOBAL_FLAGS } from "../context.ts";
import { ExitError } from "../exit-error.ts";
import type { Flag } from "../flags/flag.ts";

interface Words {
  /** `run`, `image ls` -> its flags; "" -> global flags. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly commands: readonly string[];
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

async function collect({ topLevel, groups: tables }: CommandTables): Promise<Words> {
  const flags = new Map<string, string[]>([["", flagWords(GLOBAL_FLAGS)]]);
  for (const [name, entry] of Object.entries(topLevel)) {
    flags.set(name, flagWords((await entry.load()).flags));
  }
  const groups = new Map<string, string[]>();
  for (const [group, { entries }] of Object.entries(tables)) {
    groups.set(group, Object.keys(entries));
    for (const [name, entry] of Object.entries(entries)) {
      flags.set(`${group} ${name}`, flagWords((await entry.load()).flags));
    }
  }
  return { flags, groups, commands: [...Object.keys(topLevel), ...groups.keys(), "help"] };
}

function flagWords(flags: readonly Flag[]): string[] {
  const shown = flags.filter((flag) => flag.hidden !== true);
  return [...shown.map((flag) => `--${flag.name}`), "--help"].sort();
}

function bash(program: string, words: Words): string {
  const cases = [...words.flags].map(
    ([path, flags]) => `    "${path}") echo "${flags.join(" ")}" ;;`,
  );
  const groups = [...words.groups].map(
    ([group, names]) => `    ${group}) words="${names.join(" ")}" ;;`,
  );
  return `_${program}_flags() {
  case "$1" in
${cases.join("\n")}
  esac
}
_${program}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" group="" words="" i word
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ "$word" == -* ]] && continue
    if [[ -z "$path" ]]; then path="$word"
      case "$word" in ${[...words.groups.keys()].join("|")}) group="$word" ;; esac
    elif [[ "$path" == "$group" ]]; then path="$path $word"; break
    else break; fi
  done
  if [[ "$cur" == -* ]]; then words="$(_${program}_flags "$path")"
  elif [[ -z "$path" ]]; then words="${words.commands.join(" ")}"
  elif [[ "$path" == "$group" ]]; then case "$group" in
${groups.join("\n")}
    esac
  else case "\${path##* }" in
    run|create|history|rmi|save|tag|push) words="$(${program} images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)" ;;
    start|rm|inspect|logs|wait|rename|port) words="$(${program} ps -a --format '{{.Names}}' 2>/dev/null)" ;;
    attach|exec|kill|pause|restart|stop|top|unpause) words="$(${program} ps --format '{{.Names}}' 2>/dev/null)" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _${program} ${program}
`;
}

function zsh(program: string, words: Words): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bash(program, words)}`;
}

function fish(program: string, words: Words): string {
  const lines = words.commands.map(
    (name) => `complete -c ${program} -n __fish_use_subcommand -f -a ${name}`,
  );
  for (const [group, names] of words.groups) {
    lines.push(
      `complete -c ${program} -n '__fish_seen_subcommand_from ${group}' -f -a '${names.join(" ")}'`,
    );
  }
  for (const [path, flags] of words.flags) {
    const seen = path.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`);
    const when = path === "" ? "__fish_use_subcommand" : seen.join("; and ");
    for (const flag of flags) lines.push(`complete -c ${program} -n '${when}' -l ${flag.slice(2)}`);
  }
  return `${lines.join("\n")}\n`;
}

const SHELLS: Readonly<Record<string, (program: string, words: Words) => string>> = {
  bash,
  zsh,
  fish,
};

/** Of the tables that hold it: it must not import what imports it. */
export function completionCommandOf(tables: CommandTables): Command {
  return {
    path: "completion",
    usage: "bash|zsh|fish",
    summary: "Print the completion script of a shell",
    flags: [],
    minArgs: 1,
    maxArgs: 1,
    examples: ["completion bash > /etc/bash_completion.d/naru"],
    async run({ context, args: [shell = ""] }) {
      const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (write === undefined)
        throw new ExitError(1, `no completion for "${shell}": want bash, zsh or fish`);
      context.io.stdout.print(write(context.program, await collect(tables)));
      return 0;
    },
  };
}
