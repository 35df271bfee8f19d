#!/bin/sh
# Runs a TypeScript program of this repository: sh scripts/bootstrap.sh scripts/NAME.ts [arguments]
# Needs Node and npm alone: brings node_modules up to date, finds Bun among them, and hands over.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'naru: %s\n' "$*" >&2; }

# npm writes node_modules/.package-lock.json last: there is one when an install was finished, and it is
# older than the lock file when that has changed since.
if [ ! -e node_modules/.package-lock.json ] ||
  [ package-lock.json -nt node_modules/.package-lock.json ]; then
  if ! command -v npm >/dev/null 2>&1; then
    say 'npm is missing; on Debian: apt-get install -y nodejs npm'
    exit 1
  fi
  say 'installing the npm modules (npm ci)'
  # Install scripts are off on purpose: npm 11 would ask for each, and only Bun has a useful one,
  # which is run below.
  flags='--ignore-scripts --no-audit --no-fund --loglevel=error'
  log="${TMPDIR:-/tmp}/naru-npm.$$"
  export NODE_OPTIONS="--require \"$PWD/scripts/npm-engines.cjs\""
  # npm 11 refuses a lock file that leaves out other systems' binaries, which npm itself wrote where
  # the registry had none of them. An install without saving takes the same pinned versions.
  # shellcheck disable=SC2086
  if npm ci $flags >"$log" 2>&1; then
    tail -n 1 "$log" >&2
  elif grep -q 'in sync' "$log" && npm install --no-save $flags >>"$log" 2>&1; then
    tail -n 1 "$log" >&2
  else
    cat "$log" >&2
    rm -f "$log"
    say 'npm could not install the modules; its messages are above'
    exit 1
  fi
  rm -f "$log"
  unset NODE_OPTIONS
  if command -v node >/dev/null 2>&1; then
    node node_modules/bun/install.js >&2 || say "Bun's own install step failed; using its package directly"
  fi
  touch node_modules/.package-lock.json
fi

# Bun's package puts the program at different places by npm version and by whether its install
# script ran; npm 9 also installs the musl build. The first that starts is the one.
for bun in node_modules/bun/bin/bun.exe node_modules/@oven/bun-*/bin/bun node_modules/.bin/bun; do
  case "$("$bun" --version 2>/dev/null || :)" in
    [0-9]*) exec "$PWD/$bun" "$@" ;;
  esac
done

say "no working Bun in node_modules for $(uname -s) $(uname -m)."
say 'naru runs on Linux on x86_64 and aarch64. Remove node_modules and try again; if that does not'
say 'help, check that the npm registry in use carries the package @oven/bun-linux-x64 (or -aarch64).'
exit 1
