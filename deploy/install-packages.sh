#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the Debian packages of the named sections of packages.txt that are missing; packages.txt tells
# how its entries read. Silent when none is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
list=$here/packages.txt

if [ $# -eq 0 ]; then
  echo "usage: $0 SECTION... (sections: $(sed -n 's/^\([a-z]*\):.*/\1/p' "$list" | sort -u | tr '\n' ' '))" >&2
  exit 2
fi
if ! command -v dpkg-query >/dev/null; then
  echo "$0: this is no Debian system; install the packages of $list by other means" >&2
  exit 1
fi

installed() {
  case $1 in
  /*) [ -e "$1" ] ;;
  *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
  esac
}

missing=
for section in "$@"; do
  entries=$(sed -n "s/^$section:[ 	]*//p" "$list")
  if [ -z "$entries" ]; then
    echo "$0: no section \"$section\" in $list" >&2
    exit 2
  fi
  for entry in $entries; do
    found='' wanted=''
    for name in $(echo "$entry" | tr '|' ' '); do
      if installed "$name"; then
        found=$name
        break
      fi
      case $name in
      /*) ;;
      *) [ -n "$wanted" ] || wanted=$name ;;
      esac
    done
    [ -n "$found" ] || missing="$missing $wanted"
  done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  sudo=
elif command -v sudo >/dev/null; then
  sudo=sudo
else
  echo "$0: missing packages:$missing" >&2
  echo "$0: install them as root (apt-get install$missing); there is no sudo here" >&2
  exit 1
fi

echo "installing:$missing"
# A service that Debian would start by itself (nginx, apache2) could take somebody's port.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
  $sudo chmod 755 $policy
  made_policy=yes
fi
cleanup() {
  [ -z "$made_policy" ] || $sudo rm -f $policy
}
trap cleanup EXIT
log=$(mktemp)
# shellcheck disable=SC2086 # one word per package is meant
install_all() {
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
# Lists that were never fetched, or are stale, are the usual cause of a first failure.
if ! install_all >"$log" 2>&1; then
  if ! { $sudo apt-get update -q && install_all; } >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    echo "$0: apt-get could not install:$missing" >&2
    exit 1
  fi
fi
rm -f "$log"
