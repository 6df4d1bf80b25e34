# SPDX-License-Identifier: Apache-2.0
"""b: POST + PATCH of 10 KiB at 16 connections, beside @tus/server behind the same nginx."""

import contextlib
import os
import random
import sqlite3

import measure
from front import METADATA, Front

CONNECTIONS = 16
SECONDS = 4
PEER = "@tus/server"
AIMS = {"none": 4.0, "patch": 2.5}


def check_work(front, uploads):
    """What the responder answered for must be there: bytes, delivery rows, reports."""
    with contextlib.closing(sqlite3.connect(f"file:{front.state_db}?mode=ro", uri=True)) as db:
        (done,) = db.execute("SELECT count(*) FROM uploads WHERE status=1").fetchone()
        (rows,) = db.execute("SELECT count(*) FROM deliveries").fetchone()
    assert done == rows == uploads, f"{uploads} uploads, {done} complete, {rows} deliveries"
    reported = {name.partition("_")[0] for name in os.listdir(front.reports_dir)}
    assert len(reported) >= uploads, f"{uploads} uploads, reports of {len(reported)}"


def one(load, port, pids, web_pids, seconds):
    app, web = measure.cpu(pids), measure.cpu(web_pids)
    r = load.uploads(port, METADATA, CONNECTIONS, seconds)
    r["app_cpu_ms"] = (measure.cpu(pids) - app) * 1000 / r["uploads"]
    r["nginx_cpu_ms"] = (measure.cpu(web_pids) - web) * 1000 / r["uploads"]
    r["load_cpu_ms"] = r["cpu_s"] * 1000 / r["uploads"]
    return r


def report(out, data):
    for name in (PEER, *AIMS):
        runs = [r[name] for r in data]
        rates = [r["rate"] for r in runs]
        label = name if name == PEER else f"durability {name}"
        ratios = [r[name]["rate"] / r[PEER]["rate"] for r in data]
        out.line(
            "b",
            f"10 KiB uploads, {label}",
            f"{measure.median(rates):.0f} /s ({measure.span(rates, '{:.0f}')})",
            ratio=None if name == PEER else measure.median(ratios),
            span=None if name == PEER else ratios,
            at_least=AIMS.get(name),
        )
    for name in (PEER, *AIMS):
        runs = [r[name] for r in data]
        app = measure.median([r["app_cpu_ms"] for r in runs])
        web = measure.median([r["nginx_cpu_ms"] for r in runs])
        client = measure.median([r["load_cpu_ms"] for r in runs])
        p99 = measure.median([r["p99_us"] for r in runs]) / 1000
        peer = measure.median([r[PEER]["app_cpu_ms"] for r in data])
        out.line(
            "b",
            f"  CPU, {name if name == PEER else 'durability ' + name}",
            f"app {app:.2f} nginx {web:.2f} client {client:.2f} ms each; p99 {p99:.0f} ms",
            ratio=None if name == PEER else app / peer,
        )


def run(out, options):
    with contextlib.ExitStack() as stack:
        fronts = {}
        for durability in AIMS:
            fronts[durability] = Front(durability)
            stack.callback(fronts[durability].stop)
        first = fronts["none"]
        first.start_peer()
        sides = {PEER: (first.peer_port, [first.peer.pid], first.nginx_pids())}
        for durability, front in fronts.items():
            sides[durability] = (front.port, front.responder_pids(), front.nginx_pids())
        total = dict.fromkeys(sides, 0)
        for name, side in sides.items():
            total[name] += one(options.load, *side, 1)["uploads"]
        data = []
        for _ in range(options.rounds):
            order = list(sides)
            random.shuffle(order)
            result = {}
            for name in order:
                result[name] = one(options.load, *sides[name], SECONDS)
                total[name] += result[name]["uploads"]
            data.append(result)
        for durability, front in fronts.items():
            check_work(front, total[durability])
    out.raw["b"] = data
    report(out, data)
