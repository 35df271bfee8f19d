/** The part of intended.ts about what is refused: with which status, in whose words. */
import type { Intended } from "./intended-entry.ts";

const NEWER_WORDS = "the newer engine's words";
const OWN_WORDS = "20.10 quotes its parser; naru names the field or the value";
const AT_ONCE =
  "what is refused is refused at once: a value that could never start is 400 at create";

// Status 500 of 20.10 for what the client got wrong. Refusals at create have a table of their own.
const STATUSES: readonly Intended[] = [
  {
    why: "malformed input is 400 in naru everywhere; 20.10 answers 500 in places",
    case: /^(events-queries|image-(list|import|tag)|create-refuses-(malformed|types|mounts|host-config)|start-fails-no-such-(user|group)|stop|kill|prune|list-filters-refused|logs-refused|exec-create|exec-start-refused)$/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^400$/,
  },
  {
    why: "what a filter names and is not there is 404",
    case: /^list-filters-refused$/,
    step: /(before|since)/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^404$/,
  },
  {
    why: "the state forbids it: 409",
    case: /^attach-paused$/,
    step: /unpause$/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^409$/,
  },
  {
    why: "links are not there yet, which naru says",
    case: /^delete$/,
    step: /link=1$/,
    path: /^(status|json\.message)$/,
    naru: /^(501|"link: removing a link is not supported.*)$/,
  },
];

const QUERIES: readonly Intended[] = [
  {
    why: "an unknown filter is 400 everywhere, for events too",
    case: /^events-queries$/,
    step: /nonsense.* -> f$/,
    path: /^(statusLine|headers\.Transfer-Encoding)$/,
    naru: /^("HTTP\/1\.1 400 Bad Request"|absent)$/,
  },
  {
    why: "an unknown filter is 400 everywhere, for events too",
    case: /^events-queries$/,
    step: /^so far of f$/,
    path: /^json\.message$/,
    docker: /^absent$/,
    naru: /^"invalid filter 'nonsense'"$/,
  },
  {
    why: OWN_WORDS,
    case: /^(events-queries|logs-refused)$/,
    path: /^json\.message$/,
    docker: /strconv/,
    naru: /^("invalid time \\".*\\": want RFC 3339"|absent)$/,
  },
  {
    why: OWN_WORDS,
    case: /^(events-queries|image-list|prune|list-filters-refused)$/,
    step: /filters=/,
    path: /^json\.message$/,
    docker: /^"(invalid character|json: cannot unmarshal|unexpected end of JSON)/,
    naru: /^"filters(\.name)?: (invalid JSON: |want )/,
  },
  {
    why: NEWER_WORDS,
    case: /^(image-list|prune|list-filters-refused)$/,
    path: /^json\.message$/,
    docker:
      /^"(Invalid filter|Unrecognised filter value|strconv|error while looking up for publish|failed to parse value)/,
    naru: /^"invalid filter '/,
  },
  {
    why: NEWER_WORDS,
    case: /^list-filters-refused$/,
    step: /(before|since)/,
    path: /^json\.message$/,
    naru: /^"No such container: nothing"$/,
  },
  {
    why: "a port that is none is refused, whichever filter has it",
    case: /^list-filters-refused$/,
    step: /expose/,
    path: /^(status|json|json\.message)$/,
    naru: /^(400|absent|"invalid filter 'expose=80\/x\/y'")$/,
  },
  {
    why: "an invalid wait condition is 400 since 1.42",
    case: /^wait$/,
    step: /nonsense/,
    path: /^(status|json\.(StatusCode|message))$/,
    naru: /^(400|absent|"invalid condition: \\"nonsense\\"")$/,
  },
  {
    why: "RFC 3339 is accepted for since and until",
    case: /^logs-refused$/,
    step: /2026/,
    path: /^(status|headers\.Content-Type)$/,
    naru: /^(200|"application\/vnd\.docker\.raw-stream")$/,
  },
];

const BODIES: readonly Intended[] = [
  {
    why: OWN_WORDS,
    case: /^(create-refuses-(malformed|types)|exec-create|exec-start-refused)$/,
    path: /^json\.message$/,
    docker:
      /^("(unexpected )?EOF"|"invalid character|"json: cannot unmarshal|"Config cannot be empty|absent)/,
    naru: /^"(invalid JSON: |got EOF while reading|request body: want|[A-Z][\w./]*: want|Content-Type)/,
  },
  {
    why: "an empty variable name is refused at create, as for run",
    case: /^exec-create$/,
    path: /^(status|json\.(Id|message))$/,
    docker: /^(201|"<hex64>"|absent)$/,
    naru: /^(400|absent|"invalid environment variable: =x")$/,
  },
];

const IMAGES: readonly Intended[] = [
  {
    why: NEWER_WORDS,
    case: /^image-inspect$/,
    path: /^json\.message$/,
    docker: /^"no such image: /,
    naru: /^"(No such image: |invalid reference format)/,
  },
  {
    why: OWN_WORDS,
    case: /^image-import$/,
    step: /^POST \/images\/create/,
    path: /^json\.message$/,
    naru: /^"(invalid tar archive: |one of fromImage and fromSrc is needed")/,
  },
  {
    why: "a load that fails before its first message is 400, with the reason",
    case: /^image-load-errors$/,
    path: /^(status|json\.message|lines\.0\.error(Detail\.message)?)$/,
    naru: /^(400|absent|"invalid (tar|image) archive: .*")$/,
  },
];

const STATES: readonly Intended[] = [
  {
    why: NEWER_WORDS,
    case: /^pause$/,
    step: /^DELETE/,
    path: /^json\.message$/,
    naru: /^"cannot remove container \\"web\\": container is paused and must be unpaused first"$/,
  },
  {
    why: NEWER_WORDS,
    case: /^delete$/,
    path: /^json\.message$/,
    naru: /^"cannot remove container \\"web\\": container is running: stop the container before/,
  },
  {
    why: NEWER_WORDS,
    case: /^(kill|resize|pause|exec-create-not-running)$/,
    path: /^json\.message$/,
    docker: /Container <c> is not running"$/,
    naru: /container <c> is not running"$/,
  },
  {
    why: NEWER_WORDS,
    case: /^kill$/,
    step: /signal=(99|-1)$/,
    path: /^json\.message$/,
    naru: /^"Invalid signal: (99|-1)"$/,
  },
  {
    why: "crun's reason in the newer engine's frame, which the docker CLI reads",
    case: /^start-fails/,
    path: /^json\.(message|Error\.Message)$/,
    docker: /^"failed to create shim task: OCI runtime create failed: runc create failed: /,
    naru: /^"failed to create task for container: OCI runtime create failed: /,
  },
  {
    why: "the engine sets network sysctls itself; the words that clients look for are there",
    case: /^start-fails-bad-sysctl$/,
    path: /^json\.(message|Error\.Message)$/,
    naru: /^"cannot set sysctl net\.ipv4\.nosuch: open .*: no such file or directory"$/,
  },
];

const CREATE: readonly Intended[] = [
  {
    why: AT_ONCE,
    case: /^create-refuses-(malformed|config|limits|mounts|host-config)$/,
    path: /^(status|json\.(Id|Warnings(\.0)?))$/,
    docker: /^(201|"<hex64>"|\[\]|".*Block I\/O weight.*")$/,
    naru: /^(400|absent)$/,
  },
  {
    why: AT_ONCE,
    case: /^create-refuses-config$/,
    path: /^json\.message$/,
    docker: /^absent$/,
    naru: /^"(invalid (hostname|volume specification|health check test|MacAddress)|ExposedPorts: )/,
  },
  {
    why: AT_ONCE,
    case: /^create-refuses-limits$/,
    path: /^json\.message$/,
    docker: /^absent$/,
    naru: /^"(invalid (CPU shares|ulimit type)|Range of blkio|ulimit soft limit|sysctl \\"kernel\.nosuch)/,
  },
  {
    why: AT_ONCE,
    case: /^create-refuses-mounts$/,
    path: /^json\.message$/,
    docker: /^absent$/,
    naru: /TmpfsOptions must not be specified"$|^"invalid tmpfs option/,
  },
  {
    why: AT_ONCE,
    case: /^create-refuses-host-config$/,
    path: /^json\.message$/,
    docker: /^absent$/,
    naru: /^"(invalid (PID|IPC|UTS) mode|HostConfig\.UsernsMode|invalid max-size|decoding seccomp|error gathering device|invalid device mode|HostConfig\.PortBindings: |ParseAddr)/,
  },
];

const CREATE_WORDS: readonly Intended[] = [
  {
    why: "a working directory is made at start, in the container's own root",
    case: /^create-refuses-config$/,
    path: /^(status|json\.(Id|Warnings|message))$/,
    docker: /^(500|absent|"Cannot mkdir: \/etc\/passwd is not a directory")$/,
    naru: /^(201|"<hex64>"|\[\]|absent)$/,
  },
  {
    why: "an empty reference is no reference",
    case: /^create-refuses-images$/,
    path: /^json\.message$/,
    docker: /^"No command specified"$/,
    naru: /^"invalid reference format"$/,
  },
  {
    why: NEWER_WORDS,
    case: /^create-refuses-host-config$/,
    path: /^json\.message$/,
    docker: /^"(invalid restart policy|maximum retry count|Unknown runtime specified)/,
    naru: /^"(invalid restart policy: |unknown or invalid runtime name: )/,
  },
  {
    why: "what naru does not do is refused by the field's name",
    case: /^create-refuses-host-config$/,
    path: /^(status|json\.message)$/,
    docker:
      /^(201|400|500|"(conflicting options: host type networking|Invalid isolation|invalid port specification|--storage-opt).*|absent)$/,
    naru: /^(501|"HostConfig\.(Isolation|PortBindings|StorageOpt): .*)$/,
  },
  {
    why: "naru says which part is wrong",
    case: /^create-refuses-host-config$/,
    path: /^json\.message$/,
    docker: /^"(Invalid network mode: |invalid IPv4 address: nonsense")/,
    naru: /^"(invalid container name in network mode|user specified IP address is supported on user)/,
  },
  {
    why: "kernel memory went with 1.42; a warning without consequence is none",
    case: /^create-warnings$/,
    path: /^json\.Warnings(\.0)?$/,
    docker: /^"(Specifying a kernel memory limit is deprecated|OOM killer is disabled for the)/,
    naru: /^absent$/,
  },
];

export const REFUSALS: readonly Intended[] = [
  ...STATUSES,
  ...QUERIES,
  ...BODIES,
  ...IMAGES,
  ...STATES,
  ...CREATE,
  ...CREATE_WORDS,
];
