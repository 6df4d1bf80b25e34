#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_man.sh DEX_UPLOAD
# Fails when a manual page does not render without warnings, and when one and what it tells of differ: the options that
# the programs' --help shows (dex-deliver beside dex-upload), the settings that there are, the keys that a target may have,
# and pages that name each other.
set -eu

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
  echo "usage: $0 path/to/dex-upload" >&2
  exit 2
fi
bin=$(cd "$(dirname "$1")" && pwd)
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
export LC_ALL=C.UTF-8
rc=0

man/conf-page.sh "$bin/dex-upload" >"$tmp/dex-upload.conf.5"
for page in man/*.[58] "$tmp"/*.5; do
  mandoc -T lint -W warning "$page" || rc=1
  # What man makes of it, in both of the usual programs.
  mandoc -T utf8 "$page" >"$tmp/text"
  man -l --warnings "$page" >"$tmp/man" 2>"$tmp/complaints" || rc=1
  cat "$tmp/complaints" >&2
  if [ -s "$tmp/complaints" ] || [ ! -s "$tmp/text" ] || [ ! -s "$tmp/man" ]; then
    echo "check_man: $page does not render" >&2
    rc=1
  fi
done

# WHAT OF-THE-PROGRAM OF-THE-PAGE: two files that must be the same, and not empty
compare() {
  sort -u "$2" >"$2.sorted"
  sort -u "$3" >"$3.sorted"
  if [ ! -s "$2.sorted" ] || ! diff -u --label "$1 there are" --label "$1 in the page" "$2.sorted" "$3.sorted" >&2; then
    echo "check_man: $1 differ" >&2
    rc=1
  fi
}

for program in dex-upload dex-deliver; do
  "$bin/$program" --help | grep -oE -- '(^|[[:space:]])--[a-z-]+' | tr -d '[:blank:]' >"$tmp/help"
  sed -nE 's/^\.It Fl (-[a-z-]+).*/-\1/p' "man/$program.8" >"$tmp/page"
  compare "options of $program" "$tmp/help" "$tmp/page"
done

# shellcheck disable=SC2016 # the backticks are those of Markdown
"$bin/dex-upload" --help-config=markdown | sed -n 's/^| `\([A-Z0-9_]*\)`.*/\1/p' >"$tmp/settings"
sed -n '/^\.Sh SETTINGS/,/^\.Sh FILES/s/^\.It Ev //p' "$tmp/dex-upload.conf.5" >"$tmp/page"
compare settings "$tmp/settings" "$tmp/page"

# A row may be broken behind its brace.
sed -nE 's/^	+\{?"([a-z_]+)", (NULL|"[A-Z]).*/\1/p' core/store/blob_impl.h backends/blob_file.c backends/blob_s3.c \
  backends/blob_azure.c >"$tmp/keys"
sed -n '/^\.Ss Targets/,/^\.Ss Routing/s/^\.It Ic //p' man/delivery.yml.5 | tr -d ' ' | tr , '\n' >"$tmp/page"
compare 'keys of a target' "$tmp/keys" "$tmp/page"

for page in man/*.[58] "$tmp"/*.5; do
  sed -n 's/^\.Xr \([^ ]*\) \([58]\).*/\1.\2/p' "$page" | while read -r other; do
    [ -e "man/$other" ] || [ -e "$tmp/$other" ] || echo "check_man: $page names $other" >>"$tmp/missing"
  done
done
if [ -s "$tmp/missing" ]; then
  cat "$tmp/missing" >&2
  rc=1
fi
exit $rc
