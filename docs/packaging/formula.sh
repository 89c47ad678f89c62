#!/bin/sh
# Prints the formula for Homebrew with address and checksum of a release's source: sh docs/packaging/formula.sh OWNER VERSION ARCHIVE
set -eu

owner=$1 version=$2 archive=$3
checksum=$(sha256sum "$archive" | cut -d ' ' -f 1)
sed -e "s|your-organization|$owner|" \
  -e "s|/v[^/]*/torso-.*\.tar\.gz|/v$version/torso-$version.tar.gz|" \
  -e "s|sha256 \".*\"|sha256 \"$checksum\"|" "$(dirname "$0")/torso.rb"
