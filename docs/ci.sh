#!/bin/sh
# Runs tests against a database of their own: sh docs/ci.sh npm test
# The database is made from schema.sql and goes at the end, whatever that is: tests that pass or fail, Ctrl-C, SIGTERM. Its name
# is new each time, so runs do not meet.
set -eu
name=ci-$(date +%s)-$$
tests=
end() {
  status=$?
  trap '' HUP INT TERM
  if [ -n "$tests" ]; then
    kill "$tests" 2>/dev/null || true
    wait "$tests" 2>/dev/null || true
  fi
  torso db destroy "$name" --yes --if-exists --quiet >/dev/null || status=1
  exit "$status"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
torso db create "$name" --from-dump schema.sql --quiet >/dev/null
# On a line of its own: `DATABASE_URL=$(torso db show NAME --url) npm test` would run with an empty value where torso fails.
DATABASE_URL=$(torso db show "$name" --url)
export DATABASE_URL
"$@" &
tests=$!
wait "$tests"
