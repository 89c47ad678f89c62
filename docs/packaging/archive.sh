#!/bin/sh
# Makes the archive of a release, and a file with its checksum: sh docs/packaging/archive.sh TARGET PROGRAM DIRECTORY
set -eu

target=$1 program=$2 directory=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
name=torso-$version-$target

mkdir -p "$directory/$name/man" "$directory/$name/completions"
cp "$program" "$directory/$name/torso"
cp "$root"/docs/man/*.1 "$directory/$name/man"
cp "$root"/completions/* "$directory/$name/completions"
cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$directory/$name"

cd "$directory"
tar -czf "$name.tar.gz" "$name"
rm -r "$name"
# macOS has no sha256sum.
if command -v sha256sum > /dev/null; then
  sha256sum "$name.tar.gz" > "$name.tar.gz.sha256"
else
  shasum -a 256 "$name.tar.gz" > "$name.tar.gz.sha256"
fi
