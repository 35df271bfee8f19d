/**
 * Where naru answers otherwise than dockerd 20.10, on purpose. A difference is excused only when an
 * entry here matches its case, its step and its path; an entry that excuses nothing is an error, so
 * that the list stays short.
 */

export interface Intended {
  readonly why: string;
  /** All cases when absent. */
  readonly case?: RegExp;
  /** All steps when absent. */
  readonly step?: RegExp;
  /** Path in the answer, `json.State.Pid`, `headers.Server`, `lines.0.id`. */
  readonly path: RegExp;
  /** What naru must say there (as JSON text; absent values are the text "absent"). */
  readonly naru?: RegExp;
  /** Depends on the host: it need not be seen. */
  readonly onSomeHosts?: true;
}

const NEWER_ENGINE = "naru follows the newer Engine API (1.56) where 20.10 had it otherwise";
const BAD_REQUEST = "malformed input is 400 in naru everywhere; 20.10 answers 500 in places";

export const INTENDED: readonly Intended[] = [
  {
    why: "recorded on cgroup v1; on v2 the default is private, with Docker too",
    path: /CgroupnsMode$|^json\.CgroupVersion$/,
    naru: /private|2/,
    onSomeHosts: true,
  },
  {
    why: "what the host's kernel lacks is said in naru's words",
    case: /^create-warnings$/,
    path: /^json\.Warnings/,
  },
  { why: "another engine", path: /^headers\.(Server|Api-Version)$/ },
  { why: NEWER_ENGINE, case: /^ping$/, path: /^headers\.(Builder-Version|Swarm)$/ },
  {
    why: "the order and the letter case of headers carry no meaning; lengths follow the text",
    path: /^headers\.Content-Length$/,
  },
  { why: BAD_REQUEST, path: /^status$/, naru: /^400$/ },
  {
    why: "naru words its own refusals of malformed input and names the field",
    case: /refuse|names|malformed|queries|exec-create|exec-start|image-(import|tag|inspect|list)|stop|resize|prune|kill/,
    path: /^json\.message$/,
    naru: /./,
  },
  { why: "naru serves up to 1.56 and from 1.24", case: /^versions-out-of-range$/, path: /./ },
  {
    why: "engine facts",
    case: /^(version|info)$/,
    path: /^json\.(Components|Driver|Runtimes|DefaultRuntime|Plugins|DriverStatus|SecurityOptions|Warnings)/,
  },
  { why: NEWER_ENGINE, case: /^(version|info)$/, path: /^json\./, naru: /./ },
  { why: "naru's layer store has its own names", path: /GraphDriver|^json\.Driver$/ },
  { why: "naru's default runtime is crun", path: /HostConfig\.Runtime$/ },
  {
    why: "naru's roots are laid out otherwise",
    path: /(ResolvConf|Hostname|Hosts|Log)Path$|SandboxKey$|Mounts\.\d+\.Source$/,
  },
  {
    why: NEWER_ENGINE,
    case: /^(wait|auto-remove|events-run-rm|start-fails)/,
    path: /^json\.Error$/,
    naru: /^absent$/,
  },
  {
    why: "an invalid wait condition is 400 since 1.42",
    case: /^wait$/,
    step: /nonsense/,
    path: /./,
  },
  {
    why: NEWER_ENGINE,
    case: /^(attach|missing-container)/,
    path: /^(text|json\.message|headers\.Content-Type)$/,
  },
  { why: "20.10 sends no Content-Type with logs", case: /^logs/, path: /^headers\.Content-Type$/ },
  {
    why: "RFC 3339 is accepted for since and until",
    case: /^logs-refused$/,
    step: /2026/,
    path: /./,
  },
  { why: NEWER_ENGINE, case: /^delete$/, path: /^json\.message$/ },
  { why: NEWER_ENGINE, case: /^image-inspect$/, path: /^json\.message$/ },
  {
    why: "a command that is not found is 127 in exec as in run",
    case: /^exec-(not-found|detached)$/,
    path: /ExitCode|^text$|^json\.message$/,
  },
  { why: "a second start of an exec is 409 before the hijack", case: /^exec-life$/, path: /./ },
  { why: "crun and conmon say it in their words", case: /^start-fails/, path: /message|Message/ },
  {
    why: "what is refused is refused at once: a value that could never start is 400 at create",
    case: /^create-refuses/,
    path: /^(status|json\.(Id|Warnings|message))$/,
  },
  {
    why: "a load that is refused says why in naru's words",
    case: /^image-load-errors$/,
    path: /^(lines|status|json)/,
  },
  { why: "events carry execDuration on die since 1.44", case: /^events/, path: /execDuration$/ },
];
