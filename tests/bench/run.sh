#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks: DEX Upload beside nginx's own PUT, @tus/server and rclone, in one run on this machine.
#
#   DEX_BIN (build/release)   where the two programs and bench/load are
#   BENCH_ONLY (a,b,c,d,e,f,g) a: 1 GiB in one PATCH   b: uploads of 10 KiB   c: 1,000 stalled senders
#                             d: a million finished uploads   e: object stores
#                             f: state in Redis, beside SQLite
#                             g: requests with a bearer token beside the same without
#   BENCH_ROUNDS (3)          how often a, b, e and f are repeated, in shuffled order; where it is not set
#                             and one round of e takes more than a minute, e is done only once
#   BENCH_STORE_SIZE (1GiB)   size of the file of e, also in KiB, MiB or plain bytes
#
# e is an upload into S3 and deliveries from S3 to S3 (copied by the service itself; streamed, to the
# same service under another name), from S3 to a file and from a file to S3, each beside rclone with
# the same work. rclone has the sizes and numbers of parts that are our default (8 MiB, 3 at once),
# one file at a time, and otherwise its own defaults: checksums, one request for all of a file below
# 200 MiB. The service is OpenStack Swift in one Python process on the loopback. Often it is what one
# waits for; then the ratio is near 1 and processor time tells more. A line shows throughput, the most
# resident memory of the process and its processor time; for an upload, memory of the responder and
# processor time of nginx and responder. We sync what we deliver to a file, rclone does not: one more
# line compares with rclone and a sync after it.
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

parts=,${BENCH_ONLY:-a,b,c,d,e,f,g},
case $parts in
*,e,*) deploy/install-packages.sh bench ;;
esac

peer=build/bench/peer
case $parts in
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
