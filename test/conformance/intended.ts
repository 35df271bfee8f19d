/**
 * Where naru answers otherwise than dockerd 20.10, on purpose. A difference is excused only when an
 * entry here matches its case, its step, its path and both values; an entry that excuses nothing is
 * an error, so that the list stays short.
 */
import type { Intended } from "./intended-entry.ts";
import { NETWORKS } from "./intended-networks.ts";
import { REFUSALS } from "./intended-refusals.ts";

/** A case that cannot be played because naru refuses at create what dockerd refuses at start. */
export interface RefusedAtCreate {
  readonly case: string;
  readonly why: string;
  /** What create answers, status first. */
  readonly answer: RegExp;
}

export const REFUSED_AT_CREATE: readonly RefusedAtCreate[] = [
  {
    case: "start-fails-not-namespaced-sysctl",
    why: "what could never start is refused before anything is made",
    answer: /400 .*sysctl \\"vm\.swappiness\\" is not in a separate kernel namespace/,
  },
  {
    case: "start-fails-bad-device",
    why: "a device is looked for when it is asked for",
    answer: /400 .*error gathering device information while adding custom device/,
  },
];

const NEWER_ENGINE = "naru follows the newer Engine API (1.56) where 20.10 had it otherwise";

const PROTOCOL: readonly Intended[] = [
  { why: "another engine", path: /^headers\.Server$/, naru: /^"Docker\/[\d.]+ \(linux\)"$/ },
  { why: "another engine", path: /^headers\.Api-Version$/, naru: /^"1\.56"$/ },
  {
    why: NEWER_ENGINE,
    case: /^ping$/,
    path: /^headers\.(Builder-Version|Swarm)$/,
    docker: /^absent$/,
    naru: /^"(1|inactive)"$/,
  },
  {
    why: "the headers that name the engine are on every answer, also on unknown routes",
    case: /^headers$/,
    step: /no-such-route/,
    path: /^headers\.(Docker-Experimental|Ostype)$/,
    docker: /^absent$/,
  },
  {
    why: "the headers that name the engine are on every answer, also on hijacked ones",
    case: /^attach-/,
    step: / -> [ab]$/,
    path: /^headers\.(Docker-Experimental|Ostype)$/,
    docker: /^absent$/,
  },
  {
    why: "a connection that may become a stream has left the HTTP parser: it closes and says so",
    case: /^(missing-container|attach-paused|attach-tty-detach|exec-(detached|start-refused|life))$/,
    step: /^POST \/(containers\/[^/]+\/attach|exec\/[^/]+\/start)/,
    path: /^headers\.Connection$/,
    docker: /^absent$/,
    naru: /^"close"$/,
  },
  {
    why: "what is left of a refused upload is read and dropped, so that the client sees the answer",
    case: /^image-import$/,
    step: /^POST \/images\/create\?fromSrc=-/,
    path: /^headers\.Connection$/,
    docker: /^"close"$/,
    naru: /^absent$/,
  },
  {
    why: "the body of a wait is as long as its text, which lacks the null Error",
    case: /^wait-early-headers$/,
    path: /^headers\.Content-Length$/,
    naru: /^"17"$/,
  },
  {
    why: "naru serves up to 1.56",
    case: /^versions-out-of-range$/,
    step: /^GET \/v(1\.42|1\.41\.1)\/version$/,
    path: /^(status|json\..*)$/,
  },
  {
    why: "naru serves up to 1.56",
    case: /^versions-out-of-range$/,
    step: /^GET \/v(9\.99|2\.0)\//,
    path: /^json\.message$/,
    naru: /is too new\. Maximum supported API version is 1\.56"$/,
  },
  {
    why: "naru serves from 1.24, and says so in JSON as for every error",
    case: /^versions-out-of-range$/,
    step: /^GET \/v(1\.11|1\.9|1\.1|0\.1|1)\//,
    path: /^json\.message$/,
    naru: /is too old\. Minimum supported API version is 1\.24, please upgrade/,
  },
  {
    why: "every error is JSON",
    case: /^versions-out-of-range$/,
    step: /^GET \/v(1\.11|1\.9|1\.1|0\.1|1)\//,
    path: /^(text|headers\.(Content-Type|X-Content-Type-Options))$/,
    naru: /^(absent|"application\/json")$/,
  },
  {
    why: "a name with its slash is found at once; dockerd redirects to the name without",
    case: /^prefixes$/,
    step: /%2F/,
    path: /^(status|headers\.(Location|Content-Type|Content-Length)|json\.Name)$/,
    naru: /^(200|absent|"application\/json"|"\/two")$/,
  },
];

const FACTS: readonly Intended[] = [
  {
    why: "engine facts",
    case: /^version$/,
    path: /^json\.(Components\.\d\.Details(\.GitCommit)?|ApiVersion)$/,
  },
  {
    why: "engine facts",
    case: /^info$/,
    path: /^json\.(Runtimes\..*|DefaultRuntime)$/,
    naru: /^(absent|"<string>"|"crun")$/,
  },
  {
    why: "there is a list of them, if empty",
    case: /^info$/,
    path: /^json\.Warnings$/,
    naru: /^\[/,
  },
  {
    why: "fields that went with 1.44 and 1.49",
    case: /^info$/,
    path: /^json\.(RegistryConfig\.AllowNondistributable.*|\w+Commit\.Expected)$/,
    naru: /^absent$/,
  },
  {
    why: "fields that came after 1.41; older clients ignore them",
    case: /^info$/,
    path: /^json\.(DefaultAddressPools|FirewallBackend\.Driver|CDISpecDirs(\.\d+)?|ProductLicense|DiscoveredDevices|Containerd)$/,
    docker: /^absent$/,
  },
];

const SHAPES: readonly Intended[] = [
  {
    why: "recorded on cgroup v1; on v2 the default is private, with Docker too",
    path: /CgroupnsMode$|^json\.CgroupVersion$/,
    naru: /private|2/,
    onSomeHosts: true,
  },
  { why: "naru's layer store has its own folders", path: /^json\.GraphDriver\.Data(\.\w+Dir)?$/ },
  { why: "naru's default runtime is crun", path: /HostConfig\.Runtime$/, naru: /^"crun"$/ },
  {
    why: "naru's roots are laid out otherwise",
    case: /^(create-|inspect-)/,
    path: /^json\.(ResolvConf|Hostname|Hosts|Log)Path$/,
    naru: /^"(<data-root>|<exec-root>|\/)/,
  },
  {
    why: "the paths masked and read-only are today's Docker's, in its order",
    path: /^json\.HostConfig\.MaskedPaths\.\d+$/,
    naru: /^"\/(proc|sys)\//,
  },
  {
    why: "the bridge's network is what the engine under test was given",
    path: /\bIPPrefixLen$/,
    naru: /^\d+$/,
    onSomeHosts: true,
  },
  {
    why: "a container that does not run has no sandbox",
    case: /^inspect-life$/,
    step: /size=1$/,
    path: /^json\.NetworkSettings\.Sandbox(ID|Key)$/,
    naru: /^""$/,
  },
  {
    why: "on the host's network there is neither sandbox nor endpoint of one's own",
    case: /^inspect-network-modes$/,
    step: /^GET \/containers\/host\/json$/,
    path: /^json\.NetworkSettings\.(Sandbox(ID|Key)|Networks\.host\.EndpointID)$/,
    naru: /^""$/,
  },
  {
    why: NEWER_ENGINE,
    case: /^volumes$/,
    step: /nonsense/,
    path: /^json\.message$/,
    naru: /^"invalid filter 'nonsense'"$/,
  },
  {
    why: "a list shows where a volume is, as an inspect does",
    case: /^inspect-mounts$/,
    step: /^GET \/containers\/json/,
    path: /^json\.0\.Mounts\.\d\.Source$/,
    docker: /^""$/,
    naru: /_data"$/,
  },
  {
    why: NEWER_ENGINE,
    case: /^(wait|wait-early-headers|auto-remove|events-run-rm)$/,
    path: /^json\.Error$/,
    docker: /^null$/,
    naru: /^absent$/,
  },
  {
    why: "a media type for logs came with 1.42; the raw one is right for all",
    case: /^logs/,
    step: /\/logs\?/,
    path: /^headers\.Content-Type$/,
    docker: /^absent$/,
    naru: /raw-stream"$/,
  },
  {
    why: "events carry execDuration on die since 1.44",
    case: /^(events|pause$)/,
    path: /execDuration$/,
    docker: /^absent$/,
    naru: /^"\d+"$/,
  },
];

const IMAGES: readonly Intended[] = [
  {
    why: "no digests are an empty list in the newer API",
    case: /^image-list$/,
    path: /^json\.\d\.RepoDigests$/,
    docker: /^null$/,
    naru: /^\[\]$/,
  },
  {
    why: "a load names the image, which is a tagging; as with Docker's containerd store",
    case: /^image-inspect$/,
    step: /derived/,
    path: /^json\.Metadata\.LastTagTime$/,
    naru: /^"<time>"$/,
  },
  {
    why: "each layer that is loaded is said once, however small",
    case: /^image-load$/,
    step: /^POST \/images\/load$/,
    path: /^lines\.[012]\.(stream|status|id|progressDetail\.(current|total))$/,
  },
  {
    why: "no Docker made the image",
    case: /^image-import$/,
    path: /^json\.DockerVersion$/,
    naru: /^""$/,
  },
];

const EXEC: readonly Intended[] = [
  {
    why: "a command that is not found is 127 in exec as in run",
    case: /^exec-(not-found|detached)$/,
    path: /^json\.ExitCode$/,
    docker: /^126$/,
    naru: /^127$/,
  },
  {
    why: "a second start of an exec is 409 before the hijack",
    case: /^exec-life$/,
    step: /^POST \/exec\/\{e\}\/start$/,
    path: /^(status|text|json\.message|headers\.Content-Type)$/,
    docker: /^(200|absent|"application\/vnd\.docker\.raw-stream"|".*has already run\\r\\n")$/,
    naru: /^(409|absent|"application\/json"|"exec command <e> has already run")$/,
  },
  {
    why: "an exec is remembered as long as its container, so that its exit code can be read",
    case: /^exec-start-refused$/,
    step: /^GET \/exec\/\{e\}\/json$/,
    path: /^(status|json\..*)$/,
    docker: /^(404|absent|"No such exec instance: <e>")$/,
  },
  {
    why: "an exec of a container that has stopped is there, and cannot start",
    case: /^exec-start-refused$/,
    step: /^POST \/exec\/\{e\}\/start$/,
    path: /^(status|json\.message)$/,
    docker: /^(404|"No such exec instance: <e>")$/,
    naru: /^(409|"container <c> is not running")$/,
  },
];

const LIMITS: readonly Intended[] = [
  {
    why: "arguments and bodies that are wrong are the client's fault",
    case: /^(top|update)$/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^400$/,
  },
  {
    why: NEWER_ENGINE,
    case: /^update$/,
    path: /^json\.message$/,
    docker: /^"(invalid restart policy 'nonsense'|unexpected EOF)"$/,
    naru: /^"invalid (restart policy: unknown policy 'nonsense'|JSON: .*)"$/,
  },
];

const ARCHIVES: readonly Intended[] = [
  {
    why: "what the client got wrong is 400 and what may not be written 403, as the contract says",
    case: /^archive(-read-only)?$/,
    path: /^status$/,
    docker: /^500$/,
    naru: /^40[03]$/,
  },
  {
    why: "a path of the host is nobody's business; damage is told in the reader's words",
    case: /^archive$/,
    path: /^json\.message$/,
    docker: /^"(lstat <data-root>|Error processing tar file)/,
    naru: /^"(lstat \/etc\/passwd\/x: not a directory|invalid tar archive: .*)"$/,
  },
  {
    why: "what is left of a refused upload is read and dropped, so that the client sees the answer",
    case: /^archive(-read-only)?$/,
    step: /^PUT /,
    path: /^headers\.Connection$/,
    docker: /^"close"$/,
    naru: /^absent$/,
  },
];

export const INTENDED: readonly Intended[] = [
  ...PROTOCOL,
  ...FACTS,
  ...SHAPES,
  ...IMAGES,
  ...EXEC,
  ...NETWORKS,
  ...REFUSALS,
  ...LIMITS,
  ...ARCHIVES,
];
