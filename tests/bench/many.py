# SPDX-License-Identifier: Apache-2.0
"""d: a sweep with nothing to do, and a new upload, with a million finished uploads in the state."""

import contextlib
import random
import sqlite3

import measure
from front import METADATA, Front

ROWS = 1_000_000
SWEEPS = 40
TURNS = 6
SECONDS = 1.5
SWEEP_AIM = 20.0
RATIO_AIM = 1.2
# An upload every half minute: the last of the million is a year old.
STEP_US = 30_000_000

UUID = (
    "lower(hex(randomblob(4))||'-'||hex(randomblob(2))||'-4'||substr(hex(randomblob(2)),2)"
    "||'-a'||substr(hex(randomblob(2)),2)||'-'||hex(randomblob(6)))"
)


def columns(db, table):
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def copied(db, table, own):
    """The columns of a copy: ${own} as given, times moved into the past, the rest as it is."""
    names = columns(db, table)
    values = []
    for name in names:
        if name in own:
            values.append(own[name])
        elif name.endswith("_at"):
            values.append(f"iif(t.{name}>0, t.{name}-n.i*{STEP_US}, t.{name})")
        else:
            values.append(f"t.{name}")
    return ", ".join(names), ", ".join(values)


def fill(path, rows):
    """Copies, under other ids and times, of the one finished upload that is there, and its delivery."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows})"
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-1000000")
        ((seq, id),) = db.execute("SELECT seq, id FROM uploads WHERE status=1").fetchall()
        db.execute("BEGIN IMMEDIATE")
        names, values = copied(db, "uploads", {"seq": f"{seq}+n.i", "id": UUID})
        db.execute(
            f"{numbers} INSERT INTO uploads({names}) SELECT {values}"
            f" FROM n CROSS JOIN uploads t WHERE t.seq={seq}"
        )
        own = {"id": "t.id+n.i", "upload": f"{seq}+n.i", "upload_id": "u.id"}
        names, values = copied(db, "deliveries", own)
        db.execute(
            f"{numbers} INSERT INTO deliveries({names}) SELECT {values} FROM n"
            f" JOIN uploads u ON u.seq={seq}+n.i CROSS JOIN deliveries t WHERE t.upload_id=?",
            (id,),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (done,) = db.execute("SELECT count(*) FROM deliveries WHERE status=1").fetchone()
        (page_count,) = db.execute("PRAGMA page_count").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
    assert done == rows + 1, f"{done} finished deliveries"
    return page_count * page_size


def finished_upload(front):
    front.tus.upload(b"x" * 10240)
    front.deliver_all()


def sweeps(fronts):
    """Milliseconds of each run: the sweeps of both states, and the start of the program alone."""
    data = {"start": [], "empty": [], "full": []}
    for _ in range(SWEEPS):
        order = list(data)
        random.shuffle(order)
        for name in order:
            front = fronts["empty" if name == "start" else name]
            argv = [front.binary("dex-deliver")] + (["--version"] if name == "start" else [])
            seconds, _ = measure.run_program(argv, front.env(), front.dir)
            data[name].append(seconds * 1000)
    return data


def uploads(fronts, load, connections):
    data = []
    for _ in range(TURNS):
        order = list(fronts)
        random.shuffle(order)
        data.append(
            {
                name: load.uploads(fronts[name].port, METADATA, connections, SECONDS)
                for name in order
            }
        )
    return data


def report(out, swept, single, many, size):
    start, empty, full = (measure.median(swept[k]) for k in ("start", "empty", "full"))
    out.line("d", "start of dex-deliver alone", f"{start:.2f} ms")
    out.line("d", "sweep, nothing to do, empty state", f"{empty:.2f} ms")
    out.line(
        "d",
        f"sweep, nothing to do, {ROWS:,} finished",
        f"{full:.2f} ms ({measure.span(swept['full'])})",
        ratio=full / empty,
        value=full,
        at_most=SWEEP_AIM,
        aim_unit="ms",
    )
    out.line("d", "  size of that state", f"{size / 1e6:.0f} MB")
    p50 = {k: [r[k]["p50_us"] / 1000 for r in single] for k in ("empty", "full")}
    ratios = [r["full"]["p50_us"] / r["empty"]["p50_us"] for r in single]
    out.line(
        "d",
        f"create+patch, {ROWS:,} finished / empty",
        f"{measure.median(p50['full']):.2f} / {measure.median(p50['empty']):.2f} ms",
        ratio=measure.median(ratios),
        span=ratios,
        at_most=RATIO_AIM,
    )
    rates = {k: [r[k]["rate"] for r in many] for k in ("empty", "full")}
    ratios = [r["empty"]["rate"] / r["full"]["rate"] for r in many]
    out.line(
        "d",
        "  the same at 16 connections",
        f"{measure.median(rates['full']):.0f} / {measure.median(rates['empty']):.0f} per s",
        ratio=measure.median(ratios),
        span=ratios,
    )


def run(out, options):
    with contextlib.ExitStack() as stack:
        fronts = {}
        for name in ("empty", "full"):
            fronts[name] = Front("none")
            stack.callback(fronts[name].stop)
            finished_upload(fronts[name])
        size = fill(fronts["full"].state_db, ROWS)
        swept = sweeps(fronts)
        single = uploads(fronts, options.load, 1)
        many = uploads(fronts, options.load, 16)
    out.raw["d"] = {"sweeps_ms": swept, "single": single, "many": many, "state_bytes": size}
    report(out, swept, single, many, size)
