#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh DIRECTORY: make the scripts and styles of the upload page there, from assets/ and the npm
# packages that package-lock.json pins. Nothing of those packages runs but esbuild.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
packages=$out/../ui-packages
mkdir -p "$packages"

for name in node npm; do
  if ! command -v $name >/dev/null; then
    echo "the upload page needs $name to be built" >&2
    exit 1
  fi
done
if ! cmp -s "$here/assets/package-lock.json" "$packages/installed.json"; then
  cp "$here/assets/package.json" "$here/assets/package-lock.json" "$packages/"
  (cd "$packages" && npm ci --ignore-scripts --no-audit --no-fund --silent)
  cp "$here/assets/package-lock.json" "$packages/installed.json"
fi

rm -rf "${out:?}"/*
NODE_PATH=$packages/node_modules "$packages/node_modules/.bin/esbuild" "$here/assets/ui.js" \
  --bundle --minify --splitting --format=esm --target=es2022 --legal-comments=none \
  --charset=utf8 --log-level=warning --outdir="$out"
"$packages/node_modules/.bin/esbuild" "$here/assets/ui.css" --bundle --minify --log-level=warning \
  --outfile="$out/ui.css"
cp "$here/assets/icon.svg" "$out/"
# The licences of what is in the scripts.
for package in "$packages"/node_modules/*/; do
  case $package in
  */esbuild/ | */@esbuild/) continue ;;
  esac
  for file in "$package"LICEN[CS]E*; do
    [ ! -f "$file" ] || { echo "== $(basename "$package")" && cat "$file" && echo; }
  done
done >"$out/licences.txt"
