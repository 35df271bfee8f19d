/** `PROGRAM` stands for the name that the user typed. */
export const REGISTRY_HELP: string = `A registry for images and other artifacts (OCI Distribution 1.1).

Usage:  PROGRAM COMMAND

Commands:
  serve   Run a registry
  gc      Give back the space of what nobody refers to any more

Run 'PROGRAM COMMAND --help' to learn more.
`;

export const SERVE_HELP: string = `Run a registry.

Usage:  PROGRAM serve --root DIR [OPTIONS]

Where
  --root DIR                  Content and database; made when missing. One server has it at a time
  --listen HOST:PORT          Default 127.0.0.1:5000. Other than loopback only with --htpasswd
  --tls-cert FILE --tls-key FILE
                              Certificate (with its chain) and key, PEM

Who
  --htpasswd FILE             Users with bcrypt hashes: htpasswd -B -c FILE alice
                              Changes count at once
  --auth token|basic          What clients are told to use (default token: the built-in service at
                              /token); both are always taken
  --external-url URL          The registry as clients reach it, when a proxy stands in front of it
  --rules FILE                YAML or JSON, read again on SIGHUP; the first rule that matches counts:

                                groups: {team: [alice, bob]}
                                repositories:
                                  - match: "team/**"            # ** crosses slashes, * does not
                                    read: ["*"]                 # anybody who has logged in
                                    write: ["@team"]            # a group
                                    delete: [alice]             # a user; "anonymous" is everybody
                                    immutable-tags: ["v*"]
                                    quota: 10GiB
                                    retention: {keep-last: 10, keep-days: 30, keep-tags: ["v*"],
                                                untagged-days: 7}

                              With rules, what no rule allows is refused. Without, every user may
                              do everything

Cache of another registry
  --proxy URL                 Fetch from there what is asked for and not here, and keep it; nothing is
                              pushed here. Tags are compared with upstream every 30 s, and when upstream
                              is away what is here counts. For engines:
                                naru daemon --mirror HOST=http://ADDRESS, dockerd --registry-mirror
  --proxy-username NAME --proxy-password-file FILE
                              Who asks upstream
  --proxy-keep TIME           How long what nobody asks for stays (default 744h, a month)

What happened
  --audit-log FILE            One JSON object a line: who pulled, pushed, deleted or was refused what
  --webhook URL               Told of pushes and deletes, again until it answers 2xx, for a day;
                              may be repeated
  --webhook-secret-file FILE  Signs what is sent: X-Naru-Signature: sha256=HMAC
  /metrics, /healthz          For Prometheus (log-in needed with --htpasswd), and for probes

Garbage
  --gc-interval TIME          How often (default 1h, 0 never); it runs while pushes go on
  --gc-grace TIME             How long what a push brought or saw stays (default 2h)

Log
  --log-level LEVEL           debug, info, warn, error or fatal (default info)
  --log-format FORMAT         text or json (default text)

Examples:
  PROGRAM serve --root ~/registry
  docker tag busybox localhost:5000/busybox && docker push localhost:5000/busybox

  htpasswd -B -c users alice
  PROGRAM serve --root /srv/registry --listen :443 --htpasswd users \\
    --tls-cert cert.pem --tls-key key.pem
`;

export const COLLECT_HELP: string = `Give back the space of what nobody refers to any more.

Usage:  PROGRAM gc --root DIR [OPTIONS]

A server that runs on this root does it, between pushes and without stopping them; otherwise this
command opens the root itself. A server collects by itself as well (--gc-interval).

  --root DIR         The root of the registry
  --dry-run          Remove nothing: say of each thing why it stays or why it would go
  --json             One JSON object a line
  --rules FILE       Rules of retention, when no server runs (a server uses its own)
  --gc-grace TIME    How long what a push brought stays, when no server runs (default 2h)
`;
