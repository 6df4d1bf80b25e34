#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""End-to-end scenarios: run.py [-v] [-j JOBS] [PATTERN...].

A PATTERN is a part of "module(server).function", for example "tus", "test_tus_core(nginx+s3)" or
"C31". DEX_BIN names the directory of the programs,
DEX_TEST_SERVERS=nginx,apache,cgi,fcgid,lighttpd,nginx+s3,nginx+azure,nginx+redis,cgi+redis the web servers and
what is behind them: storage, or a Redis with the state,
DEX_TEST_ROUNDS how often processes are killed and lines are cut, DEX_TEST_DELIVERIES how many files are delivered to
services that fail, DEX_TEST_NAMES how many hostile names are tried (5,000), DEX_TEST_KIDS how many made-up
key names (300), DEX_TEST_EVENTS how many events a queue has for watchers that die (100), DEX_TEST_BUS_DOWN
for how many seconds a bus is away (5). DEX_TEST_PACKAGES=1 installs the package in a clean root as well, DEX_TEST_CONTAINERS=1
builds and runs the container images, which takes minutes and the network. The last line counts.
"""

import argparse
import glob
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

from lib import runner  # noqa: E402


def main():
    # A background job is started with SIGINT ignored, and what it starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are not left behind
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("-v", "--verbose", action="store_true", help="name the tests that pass, too")
    p.add_argument("-j", "--jobs", type=int, default=1, help="so many modules side by side")
    p.add_argument("pattern", nargs="*", default=[])
    a = p.parse_args()
    modules = sorted(os.path.basename(f)[:-3] for f in glob.glob(f"{HERE}/test_*.py"))
    patterns = [f"*{x.replace('[', '(')}*" for x in a.pattern] or ["*"]
    return runner.main(modules, patterns, a.verbose, a.jobs)


if __name__ == "__main__":
    sys.exit(main())
