#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks: DEX Upload beside nginx's own PUT and beside @tus/server, in one run on this machine.
#
#   DEX_BIN (build/release)   where the two programs and bench/load are
#   BENCH_ONLY (a,b,c,d)      a: 1 GiB in one PATCH   b: uploads of 10 KiB   c: 1,000 stalled senders
#                             d: a million finished uploads
#   BENCH_ROUNDS (3)          how often a and b are repeated, in shuffled order
#
# Prints one line per figure and writes everything measured to build/bench.json. Needs about 8 GiB of
# disk below TMPDIR (or build/); all of it is removed at the end.
set -eu
cd "$(dirname "$0")/../.."

DEX_BIN=$(realpath -m "${DEX_BIN:-build/release}")
export DEX_BIN
for program in dex-upload dex-deliver bench/load; do
	[ -x "$DEX_BIN/$program" ] || {
		echo "bench: $DEX_BIN/$program is missing (make bench builds it)" >&2
		exit 1
	}
done

peer=build/bench/peer
case ,${BENCH_ONLY:-b}, in
*,b,*)
	mkdir -p $peer
	if ! cmp -s tests/bench/package-lock.json $peer/installed; then
		cp tests/bench/package.json tests/bench/package-lock.json $peer
		(cd $peer && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error)
		cp tests/bench/package-lock.json $peer/installed
	fi
	cp tests/bench/peer.mjs $peer
	;;
esac
exec python3 -B tests/bench/bench.py
