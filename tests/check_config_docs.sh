#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_config_docs.sh [--refresh] DEX_UPLOAD
# Fails when README.md's settings table or .env.example differ from what the program prints;
# with --refresh writes them instead.
set -eu

refresh=
if [ "${1:-}" = --refresh ]; then
  refresh=yes
  shift
fi
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
  echo "usage: $0 [--refresh] path/to/dex-upload" >&2
  exit 2
fi
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/.."
begin='<!-- settings -->'
end='<!-- /settings -->'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

"$program" --help-config=markdown >"$tmp/table"
"$program" --help-config=dotenv >"$tmp/example"
for made in table example; do
  if [ ! -s "$tmp/$made" ]; then
    echo "check_config_docs: $program printed nothing for the $made" >&2
    exit 1
  fi
done

# What README.md should be: the marker lines stay, what lies between them is the table.
if ! awk -v begin="$begin" -v end="$end" -v table="$tmp/table" '
  $0 == end { if (!inside) bad = 1; inside = 0 }
  !inside { print }
  $0 == begin {
    if (seen++) bad = 1
    inside = 1
    while ((getline line < table) > 0) print line
  }
  END { exit (bad || inside || seen != 1) }' README.md >"$tmp/README.md"; then
  echo "check_config_docs: README.md needs the lines '$begin' and '$end', once and in this order" >&2
  exit 1
fi

if [ -n "$refresh" ]; then
  cmp -s README.md "$tmp/README.md" || cat "$tmp/README.md" >README.md
  cmp -s .env.example "$tmp/example" || cat "$tmp/example" >.env.example
  exit 0
fi

[ -e .env.example ] || : >"$tmp/nothing"
rc=0
diff -u --label 'README.md' --label 'README.md as the program has it' \
  README.md "$tmp/README.md" || rc=1
old=.env.example
[ -e "$old" ] || old=$tmp/nothing
diff -u --label '.env.example' --label '.env.example as the program has it' \
  "$old" "$tmp/example" || rc=1
if [ $rc -ne 0 ]; then
  echo 'check_config_docs: the texts above are made from core/config_table.c: run `make docs`' >&2
fi
exit $rc
