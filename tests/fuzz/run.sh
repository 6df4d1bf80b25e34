#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh SECONDS [NAME...]: every fuzz target, or the named ones, under libFuzzer with ASan and UBSan.
# New inputs go to build/fuzz/corpus/NAME; a crash is written to build/fuzz/ and ends the run.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
export CC=clang
B=build/libfuzzer
flags='-O1 -g -DDEX_TESTING -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
make --no-print-directory -j2 B=$B FLAVOUR=debug CFLAGS="$flags" $B/libdex.a $B/libdexfcgi.a
mkdir -p build/fuzz
for source in tests/fuzz/fuzz_*.c; do
  name=$(basename "$source" .c)
  name=${name#fuzz_}
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
    continue
  fi
  clang -std=c17 -D_GNU_SOURCE -I. -g -O1 -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=undefined -o "build/fuzz/$name" "$source" $B/libdexfcgi.a $B/libdex.a \
    $(pkg-config --libs jansson yaml-0.1 libcrypto sqlite3 expat) -lfcgi -pthread
  mkdir -p "build/fuzz/corpus/$name"
  echo "== $name, $seconds seconds"
  "build/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$name-" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" \
    2>&1 | grep -E '^(==|SUMMARY|stat::(number|average|peak)|.*(ERROR|crash))' || true
  if ls build/fuzz/"$name"-* > /dev/null 2>&1; then
    echo "findings: $(ls build/fuzz/"$name"-*)"
    exit 1
  fi
done
