# SPDX-License-Identifier: Apache-2.0
"""Delivery: nine streams to their targets, the options of dex-deliver, failures and collisions."""

import hashlib
import json
import os
import sqlite3
import time

from lib import proc, servers
from lib.check import expect
from lib.manifests import STREAMS, manifest
from lib.tus import payload, upload_id


def block(stack, target):
    """Make a target unusable: a file stands where its directory should be."""
    os.makedirs(stack.targets, exist_ok=True)
    servers.write(f"{stack.targets}/{target}", "in the way")


def unblock(stack, target):
    os.unlink(f"{stack.targets}/{target}")


def queued(stack, *args):
    r = stack.deliver("--list", "--json", *args)
    assert r.returncode == 0, r
    return json.loads(r.stdout)


def test_nine_streams_reach_their_targets(start):
    s = start()
    sent = {}
    for n, ((stream, route), (target, _)) in enumerate(STREAMS.items()):
        data = payload(50000 + n)
        path = s.tus.upload(data, manifest(stream, route, f"file{n}.csv"), chunk=30000)
        sent[path] = (stream, target, data)
    s.deliver_all()
    for n, (path, (stream, target, data)) in enumerate(sent.items()):
        info = s.info(path)
        (delivery,) = info["deliveries"]
        assert delivery["status"] == "SUCCESS" and delivery["name"] == target, delivery
        assert delivery["issues"] is None and delivery["delivered_at"], delivery
        year, month, day = info["manifest"]["dex_ingest_datetime"][:10].split("-")
        if stream == "dextesting":
            wanted = f"{year}/{month}/{day}/file{n}_{upload_id(path)}.csv"
        elif stream == "pulsenet":
            wanted = f"pulsenet/localsequencefile/file{n}.csv"
        else:
            wanted = f"{year}/{month}/{day}/file{n}.csv"
        assert delivery["location"].endswith(f"{target}/{wanted}"), delivery
        assert s.delivered(target)[wanted] == data, wanted
    assert sum(len(s.delivered(t)) for t in ("edav", "ehdi", "eicr", "ncird")) == 9
    assert queued(s) == []


def test_silent_when_there_is_nothing_to_do(stack):
    stack.deliver_all()
    r = stack.deliver()
    assert (r.returncode, r.stdout, r.stderr) == (0, "", ""), r


def test_a_stream_without_a_group_goes_nowhere(start):
    config = (
        "version: 1.0\ntargets:\n  edav: {name: edav, type: file, path: ./x}\nrouting_groups: []\n"
    )
    s = start(config=config)
    path = s.tus.upload(b"abc")
    s.deliver_all()
    assert s.info(path)["deliveries"] is None
    assert s.events(path) == []
    assert upload_id(path) in s.logs()


def test_colliding_names_never_overwrite(stack):
    first, second = payload(1000), payload(1000)
    m = manifest("pulsenet", "localsequencefile", "same.fastq")
    a = stack.tus.upload(first, m)
    b = stack.tus.upload(second, m)
    stack.deliver_all()
    got = stack.delivered("edav")
    base = "pulsenet/localsequencefile/same"
    pair = {got[f"{base}.fastq"]} | {
        v
        for k, v in got.items()
        if k in (f"{base}_{upload_id(a)}.fastq", f"{base}_{upload_id(b)}.fastq")
    }
    assert pair == {first, second}, list(got)
    locations = {stack.info(p)["deliveries"][0]["location"] for p in (a, b)}
    assert len(locations) == 2, locations


def test_an_upload_delivered_again_replaces_itself(stack):
    path = stack.tus.upload(b"abc", manifest("pulsenet", "localsequencefile", "again.fastq"))
    stack.deliver_all()
    r = stack.request(
        "POST", f"/route/{upload_id(path)}", body=b'{"target":"edav","source":"upload"}'
    )
    expect(r, 200)
    assert r.text.strip() == upload_id(path), r
    stack.deliver_all()
    names = [n for n in stack.delivered("edav") if "again" in n]
    assert names == ["pulsenet/localsequencefile/again.fastq"], names
    assert len(stack.reports(path, "blob-file-copy")) == 2


def test_names_without_extension_and_with_dots(stack):
    for name in ("plain", "two.dots.tar", ".hidden"):
        path = stack.tus.upload(b"x", manifest(filename=name))
        stack.deliver_all()
        location = stack.info(path)["deliveries"][0]["location"]
        base = os.path.basename(location)
        assert upload_id(path) in base, (name, location)
        if "." in name[1:]:
            assert base.endswith("." + name.rsplit(".", 1)[1]), (name, location)


def test_no_temporary_names_are_left(stack):
    stack.tus.upload(payload(1000))
    stack.deliver_all()
    for name in stack.delivered("edav"):
        base = os.path.basename(name)
        assert not base.startswith(".tmp") and not base.endswith((".tmp", ".part")), name


def test_an_unwritable_target(start):
    s = start(settings={"EVENT_MAX_RETRY_COUNT": "2", "DEX_RETRY_DELAY": "10ms"})
    block(s, "edav")
    path = s.tus.upload(b"abc")
    other = s.tus.upload(b"def", manifest("ehdi", "csv"))
    r = s.deliver()
    assert r.returncode == 1 and "edav" in r.stdout + r.stderr, r
    assert list(s.delivered("ehdi").values()) == [b"def"], "another target must not suffer"
    assert s.info(other)["deliveries"][0]["status"] == "SUCCESS"

    def failed():
        s.deliver()
        rows = queued(s)
        return rows and rows[0]["state"] == "failed" and rows

    (row,) = proc.until(failed, "the delivery is given up", 20, 0.1)
    assert row["upload_id"] == upload_id(path) and row["attempts"] == 3, row
    table = s.deliver("--list").stdout
    assert upload_id(path) in table and "failed" in table, table
    assert s.deliver().returncode == 0, "a failed delivery is not tried by itself"
    unblock(s, "edav")
    r = s.deliver("--retry")
    assert r.returncode == 0, r
    assert b"abc" in s.delivered("edav").values()
    assert queued(s) == []
    (delivery,) = s.info(path)["deliveries"]
    assert delivery["status"] == "SUCCESS", delivery


def test_pauses_between_tries(start):
    s = start(settings={"DEX_RETRY_DELAY": "1h"})
    block(s, "edav")
    s.tus.upload(b"abc")
    assert s.deliver().returncode == 1
    (row,) = queued(s)
    assert row["state"] == "pending" and row["attempts"] == 1 and row["issues"], row
    assert s.deliver().returncode == 0, "it is not due before its time"
    assert queued(s)[0]["attempts"] == 1


def test_filters(start):
    s = start()
    a = s.tus.upload(b"a")
    b = s.tus.upload(b"b", manifest("ehdi", "csv"))
    c = s.tus.upload(b"c", manifest("ehdi", "csv", "other.csv"))
    r = s.deliver("--dry-run")
    assert r.returncode == 0 and upload_id(a) in r.stdout and len(queued(s)) == 3, r
    assert s.deliver("--upload", upload_id(b)).returncode == 0
    assert {x["upload_id"] for x in queued(s)} == {upload_id(a), upload_id(c)}
    assert s.deliver("--limit", "1").returncode == 0
    assert len(queued(s)) == 1
    assert s.deliver("--target", "ehdi").returncode == 0
    assert s.deliver("--target", "edav").returncode == 0
    assert queued(s) == []


def test_parked_messages_are_shown_sent_again_and_dropped(start):
    s = start()
    paths = [s.tus.upload(b"a"), s.tus.upload(b"b")]
    s.deliver_all()
    s.messages_are_due()
    s.deliver_all()
    db = sqlite3.connect(s.state_db, timeout=20)
    for path in paths:
        # As a sink leaves it that has answered 413 too often.
        db.execute(
            "INSERT INTO outbox(upload_id, sink, name, replaces, data, due_at, attempt, head, parked_at, reason)"
            " VALUES(?, 'reports', 'upload-sung', 0, '{}', 9223372036854775807, 4, 0, ?, 'reports: too large')",
            (upload_id(path), 1767323045000000),
        )
    db.commit()
    db.close()
    (first, second) = queued(s)
    assert first == {
        "upload_id": upload_id(paths[0]), "sink": "reports", "message": "upload-sung", "state": "parked",
        "attempts": 4, "parked_at": "2026-01-02T03:04:05.000000Z", "reason": "reports: too large",
    }  # fmt: skip
    table = s.deliver("--list").stdout.splitlines()
    assert table[0].startswith("PARKED MESSAGE OF") and len(table) == 3, table
    assert 'queue="parked_messages"} 2' in s.get("/metrics").text
    assert queued(s, "--target", "edav") == []
    for args in (("--retry", "--dry-run"), ("--drop-parked", "--dry-run")):
        r = s.deliver(*args)
        assert r.returncode == 0 and r.stdout.count("would ") == 2, r
    r = s.deliver("--retry", "--upload", upload_id(paths[0]))
    assert r.returncode == 0 and "queued again upload-sung of " + upload_id(paths[0]) in r.stdout, r
    assert s.reports(paths[0], "upload-sung") == [{}]
    assert queued(s) == [second]
    r = s.deliver("--drop-parked")
    assert r.returncode == 0 and "dropped upload-sung of " + upload_id(paths[1]) in r.stdout, r
    assert s.reports(paths[1], "upload-sung") == [] and queued(s) == []
    assert s.deliver("--drop-parked").stdout == ""


def test_exit_statuses(start):
    s = start()
    for args in (("--frob",), ("--jobs", "x"), ("--upload", "nonsense"), ("--watch", "--list")):
        r = s.deliver(*args)
        assert r.returncode == 2 and r.stderr, (args, r)
    r = s.check(program="dex-deliver", DEX_DELIVERY_CONFIG_FILE="/nonexistent/delivery.yml")
    assert r.returncode == 2 and "DEX_DELIVERY_CONFIG_FILE" in r.stderr, r
    broken = f"{s.dir}/broken"
    os.mkdir(broken)
    servers.write(f"{broken}/state.db", "this is no database" * 1000)
    r = s.check(program="dex-deliver", DEX_STATE_DB=f"{broken}/state.db")
    assert r.returncode == 3 and r.stderr, r
    for args in (("--help",), ("--version",)):
        r = s.deliver(*args)
        assert r.returncode == 0 and r.stdout and not r.stderr, (args, r)
    r = s.check("--config", f"{s.dir}/missing.env", program="dex-deliver")
    assert r.returncode == 2 and "missing.env" in r.stderr, r


def test_settings_from_a_dotenv_file(start):
    s = start()
    path = s.tus.upload(b"abc")
    lines = "".join(f"{k}='{v}'\n" for k, v in s.settings.items())
    servers.write(f"{s.dir}/all.env", lines)
    nothing = {k: None for k in s.settings}
    r = s.check("--config", f"{s.dir}/all.env", program="dex-deliver", **nothing)
    assert r.returncode == 0, r
    assert s.info(path)["deliveries"][0]["status"] == "SUCCESS"


def test_watch_wakes_at_once(start):
    """It looks each 5 s by itself: who has just been served would wait for as long."""
    s = start(watch=True)
    took = []
    for _ in range(5):
        data = payload(2000)
        path = s.tus.upload(data)
        began = time.monotonic()
        proc.until(
            lambda data=data: data in s.delivered("edav").values(), "delivered within seconds", 10
        )
        took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 2, took
    proc.until(lambda: s.info(path)["deliveries"], "the delivery is recorded", 5)


def test_watch_ends_on_sigterm(start):
    s = start(watch=True)
    with proc.within(10, "the end after SIGTERM"):
        assert s.watcher.stop() == 0


def test_many_sweeps_at_once_deliver_once(start):
    s = start()
    paths = [s.tus.upload(payload(500)) for _ in range(30)]
    running = [
        proc.Daemon([s.binary("dex-deliver")], f"{s.dir}/log/sweep{n}.log", s.dir, s.env())
        for n in range(4)
    ]
    for d in running:
        assert d.p.wait(60) == 0
    assert len(s.delivered("edav")) == 30
    for path in paths:
        assert len(s.reports(path, "blob-file-copy")) == 1, path


def test_a_dead_worker_lets_go(start):
    s = start(settings={"DEX_DELIVERY_LEASE": "1s"})
    path = s.tus.upload(payload(1000))
    d = proc.Daemon(
        [s.binary("dex-deliver")], f"{s.dir}/log/dead.log", s.dir,
        s.env(DEX_CRASH_AT="blob_file.before_rename"),
    )  # fmt: skip
    if d.p.wait(30) == 0:
        return  # a build without crash points
    assert s.delivered("edav") == {} or all(
        os.path.basename(n).startswith(".") for n in s.delivered("edav")
    ), s.delivered("edav").keys()

    def delivered():
        s.deliver()
        return s.reports(path, "blob-file-copy")

    proc.until(delivered, "another worker takes over", 20, 0.2)
    names = [n for n in s.delivered("edav") if upload_id(path) in n]
    assert len(names) == 1, names


def test_sha256_and_size(stack):
    data = payload(10000)
    path = stack.tus.upload(data)
    stack.deliver_all()
    content = stack.reports(path, "blob-file-copy")[0]["content"]
    assert content["sha256"] == hashlib.sha256(data).hexdigest(), content
    assert content.get("size", len(data)) == len(data), content


def test_symlinks_in_a_target_are_not_followed(start):
    s = start(settings={"EVENT_MAX_RETRY_COUNT": "0"})
    outside = f"{s.dir}/outside"
    os.makedirs(outside)
    os.makedirs(f"{s.targets}/edav")
    os.symlink(outside, f"{s.targets}/edav/pulsenet")
    path = s.tus.upload(b"abc", manifest("pulsenet", "localsequencefile"))
    assert s.deliver().returncode == 1
    assert os.listdir(outside) == []
    assert s.info(path)["deliveries"][0]["status"] == "FAILURE"


def test_the_older_spelling_is_read(start):
    config = """
version: 1.0
programs:
  - data_stream_id: dextesting
    data_stream_route: testevent1
    delivery_targets:
      - name: old
        type: file
        path: {dir}/old
        path_template: '{{{{ .DataStreamID }}}}/{{{{.Filename}}}}'
"""
    base = start().dir
    s = start(config=config.format(dir=base))
    data = payload(100)
    s.tus.upload(data)
    s.deliver_all()
    with open(f"{base}/old/dextesting/data.csv", "rb") as f:
        assert f.read() == data


def test_the_shipped_delivery_file(start):
    s = start(settings={"DEX_DELIVERY_CONFIG_FILE": f"{servers.ROOT}/deploy/delivery.yml"})
    data = payload(100)
    path = s.tus.upload(data)
    s.deliver_all()
    location = s.info(path)["deliveries"][0]["location"]
    with open(os.path.join(s.dir, location), "rb") as f:
        assert f.read() == data
