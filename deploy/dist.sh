#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# dist.sh UI OUT: make OUT/dex-upload-VERSION.tar.gz of this checkout (the tracked files as they are now), or of an
# unpacked archive. It holds the upload page's built scripts from UI as ui/, and the commit in GIT_SHA, so that git,
# Node.js and npm are not needed to build from it. The same commit gives the same bytes.
# OUT/dex-upload-VERSION/ is what was packed.
set -eu
export LC_ALL=C

cd "$(dirname "$0")/.."
ui=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
name=dex-upload-$(cat VERSION)
stage=$out/$name

rm -rf "$stage"
mkdir "$stage"
if [ -e GIT_SHA ]; then
  # One that was unpacked: everything but what was built in it.
  find . -path ./build -prune -o -path ./ui -prune -o -type f -print0 >"$out/files"
  cp GIT_SHA "$stage/"
  when=$(stat -c %Y GIT_SHA)
else
  git ls-files -z >"$out/files"
  git rev-parse --short HEAD >"$stage/GIT_SHA"
  when=$(git log -1 --format=%ct)
fi
tar --null --files-from="$out/files" -cf - | tar -C "$stage" -xf -
rm "$out/files"
cp -R "$ui" "$stage/ui"
chmod -R u=rwX,go=rX "$stage"

tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$when}" \
  --format=gnu -cf - "$name" | gzip -n -9 >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
