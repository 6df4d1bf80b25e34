#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every text of fcgi/ui/texts.h is used, and every text that a page or a script names is there.
set -euo pipefail
cd "$(dirname "$0")/../fcgi/ui"

# The names in one of the lists of texts.h.
names_of() { # LIST
  sed -n "/^#define $1(T)/,/[^\\\\]\$/p" texts.h | sed -n 's/^[[:space:]]*T(\([a-z0-9_]*\),.*/\1/p'
}

both=$(names_of TEXTS_OF_BOTH)
pages=$(printf '%s\n' "$(names_of TEXTS_OF_PAGES)" "$both")
scripts=$(printf '%s\n' "$(names_of TEXTS_OF_SCRIPTS)" "$both")
bad=0

complain() {
  echo "$*"
  bad=1
}

for name in $pages; do
  grep -qE "\{\{t\.$name\}\}" pages/*.html || grep -qE "\"$name\"" ./*.c ||
    grep -qx "$name" <<<"$both" || complain "no page uses the text $name"
done
for name in $scripts; do
  grep -qE "'$name'" assets/*.js || complain "no script uses the text $name"
done
for name in $(grep -ohE '\{\{t\.[a-z0-9_]+' pages/*.html | sed 's/.*t\.//' | sort -u); do
  grep -qx "$name" <<<"$pages" || complain "a page names the text $name, which is not there"
done
for name in $(grep -ohE "[^a-zA-Z.]t\('[a-z0-9_]+'" assets/*.js | sed "s/.*'\(.*\)'/\1/" | sort -u); do
  grep -qx "$name" <<<"$scripts" || complain "a script names the text $name, which is not there"
done
[ "$(wc -w <<<"$pages")" -gt 50 ] && [ "$(wc -w <<<"$scripts")" -gt 30 ] ||
  complain 'texts.h cannot be read'
[ $bad = 0 ] && echo 'all texts are used and there'
exit $bad
