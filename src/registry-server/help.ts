export const REGISTRY_HELP: string = `A registry for images and other artifacts (OCI Distribution 1.1).

Usage:  PROGRAM COMMAND

Commands:
  serve   Run a registry

Run 'PROGRAM serve --help' to learn how.
`;

export const SERVE_HELP: string = `Run a registry.

Usage:  PROGRAM serve --root DIR [OPTIONS]

  --root DIR             Where content is kept; made when it is missing
  --listen HOST:PORT     Address (default 127.0.0.1:5000)
  --log-level LEVEL      debug, info, warn, error or fatal (default info)
  --log-format FORMAT    text or json (default text)

Examples:
  PROGRAM serve --root ~/registry
  docker tag busybox localhost:5000/busybox && docker push localhost:5000/busybox
`;
