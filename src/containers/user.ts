import { NaruError } from "../base/mod.ts";

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** From passwd, `/` without an entry. */
  readonly home: string;
}

/** The container's own account files, "" where it has none. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const ID_MAX = 2 ** 32 - 2; // the last number is -1, which means "leave as it is" to the kernel

/**
 * Who a process runs as: `name`, `uid`, `user:group` with names or numbers, and `--group-add`. A
 * number without an entry is taken as it is, with group 0. Groups that list the user's name are
 * added unless a group was named. The main group is among the additional ones, without which a
 * process could not give up and regain it (CVE-2022-36109). Throws invalid_argument in Docker's words.
 */
export function resolveUser(
  text: string,
  groupAdd: readonly string[],
  files: AccountFiles,
): ResolvedUser {
  const [userText = "", groupText] = text.split(":", 2);
  const accounts = parsePasswd(files.passwd);
  const groups = parseGroups(files.group);
  const wanted = userText === "" ? "0" : userText;
  const account = findAccount(wanted, accounts);
  const uid = account?.uid ?? parseId(wanted);
  if (uid === undefined) throw noMatch("user", wanted, "passwd");
  const gids = new Set<number>();
  let gid = account?.gid ?? 0;
  if (groupText !== undefined && groupText !== "") {
    gid = groupId(groupText, groups);
  } else if (account !== undefined) {
    for (const group of groups) if (group.members.includes(account.name)) gids.add(group.gid);
  }
  for (const added of groupAdd) gids.add(groupId(added, groups));
  return { uid, gid, additionalGids: [...new Set([gid, ...gids])], home: account?.home || "/" };
}

function findAccount(wanted: string, accounts: readonly PasswdEntry[]): PasswdEntry | undefined {
  const byName = accounts.find((entry) => entry.name === wanted);
  if (byName !== undefined) return byName;
  const id = parseId(wanted);
  return id === undefined ? undefined : accounts.find((entry) => entry.uid === id);
}

function groupId(text: string, groups: readonly GroupEntry[]): number {
  const gid = groups.find((group) => group.name === text)?.gid ?? parseId(text);
  if (gid === undefined) throw noMatch("group", text, "group");
  return gid;
}

function noMatch(what: "user" | "group", text: string, file: string): NaruError {
  return new NaruError(
    "invalid_argument",
    `unable to find ${what} ${text}: no matching entries in ${file} file`,
  );
}

function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  if (id > ID_MAX) {
    throw new NaruError("invalid_argument", `uids and gids must be in range 0-${ID_MAX}`);
  }
  return id;
}

/** Lines that are no entries are left out: images carry all sorts of files. */
function parsePasswd(text: string): PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    if (name === "" || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid), home }];
  });
}

function parseGroups(text: string): GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , gid = "", members = ""] = line.split(":");
    if (name === "" || !/^\d+$/.test(gid)) return [];
    return [{ name, gid: Number(gid), members: members.trim().split(",") }];
  });
}
