#!/usr/bin/env bash
# All tests. They compare with sqlite3, complete in bash, zsh and fish, have systemd judge a unit, make networks of machines, run
# nginx and Caddy, fetch a libSQL server and its clients with npm and pip into target/, and build the server's engine there.
# What is missing of these is installed where this script may, and named where it may not. Arguments go to cargo test.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for peer in sqlite3 bash zsh fish npm cc cmake nginx caddy shellcheck ruby systemd-analyze ip nft; do
  command -v "$peer" >/dev/null && continue
  case $peer in
    cc) missing+=(gcc) ;;
    systemd-analyze) missing+=(systemd) ;;
    ip) missing+=(iproute2) ;;
    nft) missing+=(nftables) ;;
    *) missing+=("$peer") ;;
  esac
done
# A compiler of Go, and a package that the tutorial's program uses.
command -v go >/dev/null && [ -d /usr/share/gocode/src/golang.org/x/crypto ] || missing+=(golang-go golang-golang-x-crypto-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
if ((${#missing[@]})); then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "missing: ${missing[*]}; install them first (on Debian: apt-get install ${missing[*]})" >&2
    exit 1
  fi
fi

exec cargo test --locked "$@"
