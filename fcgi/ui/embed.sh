#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh FILE.html...: print C source with the files as the table of fcgi/ui/page.h.
set -eu

echo '#include "fcgi/ui/page.h"'
n=0
for file in "$@"; do
  printf 'static const unsigned char text_%d[] = {\n' "$n"
  od -An -v -tx1 "$file" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
  echo '0};'
  n=$((n + 1))
done
echo 'const struct page_source page_sources[] = {'
n=0
for file in "$@"; do
  printf '{"%s", text_%d, sizeof(text_%d) - 1},\n' "$(basename "$file" .html)" "$n" "$n"
  n=$((n + 1))
done
echo '};'
echo 'const size_t page_sources_len = sizeof(page_sources) / sizeof(page_sources[0]);'
