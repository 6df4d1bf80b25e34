# SPDX-License-Identifier: Apache-2.0
"""c: 1,000 senders that declare 10 MB, send 100 KB and go silent."""

import contextlib
import os
import time

import measure
from front import METADATA, Front, proc

STALLED = 1000
THREADS = 1100
DECLARED = 10_000_000
SENT = 100_000
KIB_AIM = 32.0
MS_AIM = 10.0


def stored_bytes(front):
    top = f"{front.data}/tus-prefix"
    return sum(
        os.path.getsize(f"{at}/{name}") for at, _, names in os.walk(top) for name in names
    )


def stall(front, body):
    path = front.tus.new(DECLARED)
    c = front.tus.start_patch(path, 0, DECLARED)
    c.send(body)
    return c


def settled_pss(pid):
    """The responder's memory once all threads are there and have begun to wait."""
    proc.until(lambda: measure.threads(pid) > THREADS, "all threads run", 20)
    last = [0]

    def steady():
        before, last[0] = last[0], measure.pss(pid)
        return last[0] == before

    with contextlib.suppress(proc.Timeout):
        proc.until(steady, "memory does not grow", 5, 0.2)
    return last[0]


def run(out, options):
    with contextlib.ExitStack() as stack:
        front = Front("none", DEX_THREADS=str(THREADS))
        stack.callback(front.stop)
        pid = front.responder()
        # Nothing has been served yet: what the threads keep afterwards counts as well.
        before = stored_bytes(front)
        idle, idle_web = settled_pss(pid), sum(map(measure.pss, front.nginx_pids()))
        idle_threads = measure.threads(pid)
        body = os.urandom(SENT)
        for _ in range(STALLED):
            stack.callback(stall(front, body).close)
        start = time.monotonic()
        wanted = before + STALLED * SENT
        with contextlib.suppress(proc.Timeout):
            proc.until(lambda: stored_bytes(front) >= wanted, "all bytes in storage", 5, 0.1)
        settled = time.monotonic() - start
        share = (stored_bytes(front) - before) / (STALLED * SENT)
        busy, busy_web = measure.pss(pid), sum(map(measure.pss, front.nginx_pids()))
        latency = options.load.uploads(front.port, METADATA, 1, 3)
    kib, total = (busy - idle) / STALLED, busy / STALLED
    out.raw["c"] = {
        "pss_idle_kib": idle,
        "pss_stalled_kib": busy,
        "threads_idle": idle_threads,
        "nginx_pss_idle_kib": idle_web,
        "nginx_pss_stalled_kib": busy_web,
        "stored_share": share,
        "settled_s": settled,
        "new_uploads": latency,
    }
    out.line(
        "c",
        "memory per stalled PATCH, responder",
        f"{kib:.1f} KiB (PSS {idle / 1024:.1f} -> {busy / 1024:.1f} MiB)",
        value=kib,
        at_most=KIB_AIM,
        aim_unit="KiB",
    )
    out.line(
        "c",
        "  all of the responder's memory / 1,000",
        f"{total:.1f} KiB",
    )
    out.line(
        "c",
        "  nginx per stalled PATCH",
        f"{(busy_web - idle_web) / STALLED:.1f} KiB",
    )
    out.line(
        "c",
        "arrived bytes already in storage",
        f"{share * 100:.2f} % of {STALLED * SENT / 1e6:.0f} MB",
        value=share * 100,
        at_least=100.0,
        aim_unit="%",
    )
    p50 = latency["p50_us"] / 1000
    out.line(
        "c",
        "a new 10 KiB upload meanwhile",
        f"{p50:.2f} ms (p99 {latency['p99_us'] / 1000:.1f}, max {latency['max_us'] / 1000:.1f})",
        value=p50,
        at_most=MS_AIM,
        aim_unit="ms",
    )
