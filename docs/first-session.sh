#!/bin/sh
# The first session of README, from a fresh clone: builds torso, then creates databases, imports real tables, queries,
# replicates and looks at the result, in a directory of its own that is removed at the end.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${TORSO_BIN:-}" ]; then
    cargo build --release --quiet
    TORSO_BIN=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
fi
PATH="$TORSO_BIN:$PATH"
world=$(mktemp -d)
trap 'rm -rf "$world"' EXIT
export TORSO_DATA_DIR="$world/data" TORSO_CONFIG_DIR="$world/config"

# Each command is shown as it would be typed, then run.
run() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

sed -n '/^<!-- session -->$/,/^<!-- end of session -->$/p' README.md | sed -n '/^```sh$/,/^```$/p' | grep -v '^```' > "$world/session"
while IFS= read -r line; do
    run "$line" < /dev/null
done < "$world/session"
