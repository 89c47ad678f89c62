#!/bin/sh
# The session of docs/tutorial-server.md, from a fresh clone: builds torso, then starts a server, works on it as a user
# and as an application does, stops it and starts it again, in a directory of its own that is removed at the end.
#
# TORSO_BIN: a directory with a built torso.  TORSO_SQLD: a libSQL server program.  NODE_MODULES: a directory with
# drizzle-orm and @libsql/client.  PORT: another one than 8080. What is not given is built, installed or taken.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${TORSO_BIN:-}" ]; then
    cargo build --release --quiet
    TORSO_BIN=$PWD/target/release
fi
PATH="$TORSO_BIN:$PATH"
page=$PWD/docs/tutorial-server.md app=$PWD/docs/app.mjs
world=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then
        kill "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    rm -rf "$world"
}
trap finish EXIT
export TORSO_DATA_DIR="$world/data" TORSO_CONFIG_DIR="$world/config"
[ -n "${TORSO_SQLD:-}" ] || torso engine install
mkdir "$world/work"
cd "$world/work"
cp "$app" .
if [ -n "${NODE_MODULES:-}" ]; then
    ln -s "$NODE_MODULES" node_modules
else
    npm install --silent --no-audit --no-fund drizzle-orm @libsql/client
fi

sed -n '/^<!-- server session -->$/,/^<!-- end of server session -->$/p' "$page" |
    sed -n '/^```sh$/,/^```$/p' | grep -v '^```' > "$world/session"
# Each command is shown as it would be typed, then run.
while IFS= read -r line <&3; do
    printf '\n$ %s\n' "$line"
    eval "$(printf '%s\n' "$line" | sed "s/:8080/:${PORT:-8080}/g")" < /dev/null
done 3< "$world/session"
server=
