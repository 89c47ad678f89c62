#!/bin/sh
# Runs a command with a database of its own, on any CI system: sh database.sh ./test.sh
#
# The database is on this machine, or on the server of TORSO_API_URL and TORSO_TOKEN. It is destroyed when the command ends, and
# after SIGINT, SIGTERM and SIGHUP. If this script itself is killed, a later torso gc destroys the database after six hours.
set -eu

if [ $# -eq 0 ]; then
  echo "usage: sh database.sh COMMAND" >&2
  exit 2
fi
name=ci-$(date +%s)-$$-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
command=

destroy() {
  torso db destroy "$name" --if-exists --yes || echo "torso gc destroys database $name later" >&2
}

# Ends the command, waits for it, and exits.
stop() {
  trap '' INT TERM HUP
  if [ -n "$command" ]; then
    kill -TERM "$command" 2> /dev/null || true
    wait "$command" || true
  fi
  exit "$1"
}

trap destroy EXIT
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

torso gc --yes || echo "torso gc could not destroy all that has expired" >&2
torso db create "$name" --expires-in 6h --from-dump schema.sql
torso db migrate "$name" --dir migrations
# In two lines: a failure within eval would be overlooked.
variables=$(torso db env "$name" --format export --expires 6h)
eval "$variables"

# Beside the script, which can answer signals meanwhile.
"$@" <&0 &
command=$!
wait "$command"
