#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deb.sh UI OUT: build the Debian package of this checkout in OUT, from what dist.sh packs. DEBFULLNAME and DEBEMAIL
# name who made it (default: the maintainers), DEB_VERSION another version than the file VERSION does.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=${DEB_VERSION:-$(cat VERSION)}
archive=$(deploy/dist.sh "$1" "$out")
tree=${archive%.tar.gz}
who=$(sed -n 's/^Maintainer: //p' deploy/debian/control)
if [ -n "${DEBEMAIL:-}" ]; then
  who="${DEBFULLNAME:-$DEBEMAIL} <$DEBEMAIL>"
fi
# What everybody who builds has, is not named.
needed=$(sed -n 's/^build: *//p' deploy/packages.txt | grep -vxE 'gcc|make|libc6-dev' | paste -sd, | sed 's/,/, /g')

cp -R deploy/debian "$tree/debian"
sed -i "s|@BUILD@|$needed|; s|^Maintainer: .*|Maintainer: $who|" "$tree/debian/control"
echo "$version" >"$tree/VERSION"
cat >"$tree/debian/changelog" <<END
dex-upload ($version) unstable; urgency=medium

  * See /usr/share/doc/dex-upload/changelog.gz.

 -- $who  $(date -R -u -d "@$(stat -c %Y "$tree/GIT_SHA")")
END
# What make hands to its children would be in the way of the build's own.
(cd "$tree" && debconf-updatepo && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
  dpkg-buildpackage --build=binary --no-sign --jobs=auto) >"$out/build.log" 2>&1 || {
  tail -n 40 "$out/build.log" >&2
  exit 1
}
ls "$out/dex-upload_${version}_"*.deb
