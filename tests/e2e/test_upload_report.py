# SPDX-License-Identifier: Apache-2.0
"""dex-deliver --report: what an operator tells a programme each morning."""

import csv
import io
import json
import os
import subprocess
import time

from lib import servers
from lib.check import RFC3339, expect
from lib.manifests import manifest
from lib.tus import upload_id

COLUMNS = [
    "upload_id", "data_stream_id", "data_stream_route", "sender_id", "filename", "state", "targets",
    "begun_utc", "completed_utc", "delivered_utc", "delivery_seconds", "bytes",
]  # fmt: skip
FORMULA = "=HYPERLINK(0)"


def report(stack, *args):
    r = stack.deliver("--report", *args)
    assert r.returncode == 0 and not r.stderr, r
    return r.stdout


def csv_rows(stack, *args):
    r = subprocess.run(  # as bytes: the ends of lines matter
        [stack.binary("dex-deliver"), "--report", "--csv", *args], cwd=stack.dir, env=stack.env(),
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert r.returncode == 0 and not r.stderr, r.stderr
    text = r.stdout.decode()
    assert text.count("\n") == text.count("\r\n") > 0
    head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert head == COLUMNS, head
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def send_some(s):
    """An upload in each state; {state: path}."""
    made = {
        "delivered": s.tus.upload(b"abcde", manifest(sender_id=FORMULA, filename='a "b", c.csv'))
    }
    s.deliver_all()
    os.makedirs(s.targets, exist_ok=True)
    servers.write(f"{s.targets}/ehdi", "in the way")
    made["failed"] = s.tus.upload(b"abc", manifest("ehdi", "csv", "-1+1.csv"))
    assert s.deliver().returncode == 1
    made["pending"] = s.tus.upload(b"ab", manifest(sender_id="@sum"))
    made["unfinished"] = s.tus.new(10, manifest())
    s.tus.patch(made["unfinished"], 0, b"1234")
    made["terminated"] = s.tus.new(10, manifest(sender_id="ünï"))
    expect(s.tus.delete(made["terminated"]), 204)
    part = s.tus.create(3, headers={"Upload-Concat": "partial"})
    expect(part, 201)
    return made


def every_form_tells_the_same(start, **more):
    s = start(settings={"EVENT_MAX_RETRY_COUNT": "0"}, **more)
    made = send_some(s)
    rows = csv_rows(s)
    assert {r["state"]: r["upload_id"] for r in rows} == {k: upload_id(v) for k, v in made.items()}
    row = {r["state"]: r for r in rows}
    assert [row[k]["bytes"] for k in made] == ["5", "3", "2", "4", "0"], rows
    done = row["delivered"]
    assert done["filename"] == 'a "b", c.csv' and done["targets"] == "edav", done
    assert (
        row["failed"]["targets"] == "ehdi(failed)" and row["pending"]["targets"] == "edav(pending)"
    )
    assert 0 <= float(done["delivery_seconds"]) < 100, done
    assert all(RFC3339.match(done[k]) for k in ("begun_utc", "completed_utc", "delivered_utc")), (
        done
    )
    assert row["failed"]["delivered_utc"] == row["failed"]["delivery_seconds"] == "", row["failed"]
    assert row["failed"]["filename"] == "'-1+1.csv", row["failed"]
    # A spreadsheet shows these, and computes nothing.
    senders = {k: row[k]["sender_id"] for k in ("delivered", "pending", "terminated")}
    assert senders == {
        "delivered": "'" + FORMULA, "pending": "'@sum", "terminated": "ünï",
    }  # fmt: skip

    told = json.loads(report(s, "--json"))
    assert list(told) == ["since", "until", "uploads", "totals"], told
    assert [u["upload_id"] for u in told["uploads"]] == [r["upload_id"] for r in rows]
    assert {u["state"]: u["sender_id"] for u in told["uploads"]}["delivered"] == FORMULA
    assert sum(t["uploads"] for t in told["totals"]) == 5
    assert sum(t["bytes"] for t in told["totals"]) == 14
    (total,) = [t for t in told["totals"] if t["state"] == "delivered"]
    assert total["stream"] == "dextesting/testevent1" and total["delivered"] == 1, total
    assert 0 <= total["mean_delivery_seconds"] == total["longest_delivery_seconds"] < 100

    lines = report(s).splitlines()
    assert "(UTC)" in lines[0] and lines[2].startswith("STREAM"), lines
    assert len(lines) == 9 and lines[-1].split()[:4] == ["all", "5", "14", "B"], lines
    return s


def test_every_form_tells_the_same(start):
    every_form_tells_the_same(start)


def test_every_form_tells_the_same_with_redis(start):
    every_form_tells_the_same(start, state="redis")


def test_a_range_of_time(start):
    s = start()
    assert csv_rows(s) == [] and json.loads(report(s, "--json"))["uploads"] == []
    assert report(s).splitlines()[-1].split()[:2] == ["all", "0"]
    first = s.tus.upload(b"a")
    time.sleep(0.01)  # later than the millisecond of the first
    done = csv_rows(s)[0]["completed_utc"]
    second = s.tus.upload(b"b")
    ids = lambda *args: [r["upload_id"] for r in csv_rows(s, *args)]  # noqa: E731
    assert ids() == [upload_id(first), upload_id(second)]
    later = csv_rows(s)[1]["completed_utc"]
    assert ids("--since", done, "--until", later) == [upload_id(first)]
    assert ids("--since", later) == [upload_id(second)]
    assert ids("--until", done) == []
    assert ids("--since", "30d", "--until", "1h") == []
    for args in (
        ("--since", "x"),
        ("--csv", "--json"),
        ("--since", "1h", "--until", "2h"),
        ("--list",),
    ):
        r = s.deliver("--report", *args)
        assert r.returncode == 2 and r.stderr, (args, r)


def test_more_than_a_page_and_control_characters(start):
    s = start()
    for n in range(300):
        s.tus.new(1, manifest(sender_id=f"sender {n % 3}"))
    s.tus.new(1, manifest(sender_id="\x1b[2Jgone\u009b"))
    rows = csv_rows(s)
    assert len({r["upload_id"] for r in rows}) == len(rows) == 301
    text = report(s)
    assert "\x1b" not in text and "\u009b" not in text and "?[2Jgone?" in text, text
    counts = [line.split()[4] for line in text.splitlines() if "sender " in line]
    assert counts == ["100", "100", "100"], text
