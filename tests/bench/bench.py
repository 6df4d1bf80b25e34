#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks and prints a line per figure; see run.sh for the settings."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import big  # noqa: E402
import hosts  # noqa: E402
import many  # noqa: E402
import measure  # noqa: E402
import objects  # noqa: E402
import small  # noqa: E402
import stalled  # noqa: E402
import tokens  # noqa: E402

PARTS = {
    "a": big, "b": small, "c": stalled, "d": many, "e": objects, "f": hosts, "g": tokens,
}  # fmt: skip


class Table:
    """The lines as they are printed, and what they were made of."""

    FORM = "{:2} {:44} {:46} {:20} {:14} {}"

    def __init__(self):
        self.lines = []
        self.raw = {}
        print(self.FORM.format("", "what", "measured", "ratio to the peer", "aim", ""), flush=True)

    def line(self, part, what, measured, ratio=None, span=None, value=None, at_least=None,
             at_most=None, aim_unit=""):  # fmt: skip
        """An aim is about ${value} where given, else about ${ratio}."""
        judged = ratio if value is None else value
        aim = verdict = ""
        if at_least is not None:
            aim, good = f">= {at_least:g} {aim_unit}", judged >= at_least
        elif at_most is not None:
            aim, good = f"<= {at_most:g} {aim_unit}", judged <= at_most
        if aim:
            verdict = "ok" if good else "short"
        shown = "" if ratio is None else f"{ratio:.2f}"
        if span:
            shown += f" ({measure.span(span)})"
        self.lines.append(
            {
                "part": part, "what": what.strip(), "measured": measured, "ratio": ratio,
                "value": value, "aim": aim.strip(), "verdict": verdict,
            }  # fmt: skip
        )
        print(self.FORM.format(part, what, measured, shown, aim, verdict).rstrip(), flush=True)


class Options:
    def __init__(self):
        self.only = os.environ.get("BENCH_ONLY", "").replace(" ", "") or ",".join(PARTS)
        self.parts = self.only.split(",")
        self.rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
        self.rounds_wanted = "BENCH_ROUNDS" in os.environ
        self.store_size = measure.size(os.environ.get("BENCH_STORE_SIZE", "1GiB"))
        self.load = measure.Load(os.environ["DEX_BIN"])
        unknown = set(self.parts) - set(PARTS)
        if unknown or self.rounds < 1 or self.store_size < 1:
            sys.exit(
                f"bench: BENCH_ONLY takes {','.join(PARTS)}; BENCH_ROUNDS a number from 1; "
                "BENCH_STORE_SIZE a size such as 1GiB"
            )


def machine():
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": os.uname().release,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


@contextlib.contextmanager
def scratch():
    """A directory for all that is made here, removed at the end; for T see quick_directory."""
    parent = os.environ.get("TMPDIR") or f"{ROOT}/build/bench"
    os.makedirs(parent, exist_ok=True)
    base = tempfile.mkdtemp(prefix="dex-bench-", dir=parent)
    try:
        os.chmod(base, 0o755)
        subprocess.run(["chattr", "+T", base], stderr=subprocess.DEVNULL, check=False)
        tempfile.tempdir = base
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def main():
    options = Options()
    # As Ctrl-C: everything is stopped and removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # 1,000 stalled senders: a connection each here, some files each in the responder.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    before = machine()
    print(
        f"{before['cores']} cores, load {before['load']:.1f} before the start; loopback; medians "
        f"of {options.rounds} rounds (range). Compare within this run only.\n"
    )
    table = Table()
    with scratch():
        for part in options.parts:
            PARTS[part].run(table, options)
    after = machine()
    os.makedirs(f"{ROOT}/build", exist_ok=True)
    with open(f"{ROOT}/build/bench.json", "w") as f:
        json.dump(
            {"before": before, "after": after, "lines": table.lines, "raw": table.raw}, f, indent=1
        )
    short = sum(line["verdict"] == "short" for line in table.lines)
    judged = sum(line["verdict"] != "" for line in table.lines)
    print(f"\n{judged - short} of {judged} aims met; figures in build/bench.json")


if __name__ == "__main__":
    main()
