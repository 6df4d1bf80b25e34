# SPDX-License-Identifier: Apache-2.0
"""State and locks in Redis: what happens to it, or to who holds a lock, corrupts nothing.

DEX_TEST_ROUNDS: how often each thing happens; DEX_TEST_DELIVERIES: how many sweeps share.
"""

import glob
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from lib import http, proc
from lib.check import expect
from lib.load import LATER, Load
from lib.redis import LONG as AGREED
from lib.redis import Redis, Sentinels, Watch
from lib.servers import ROOT
from lib.tus import payload, upload_id

SERVERS = ("nginx+redis",)
ROUNDS = int(os.environ.get("DEX_TEST_ROUNDS", "1"))
LONG = "DEX_TEST_ROUNDS" in os.environ
PAUSE = 30 if LONG else 5
DELIVERIES = int(os.environ.get("DEX_TEST_DELIVERIES", "300"))
LEASE = 8
BACK_WITHIN = 10
# Connections to Redis that a responder may keep for the next request.
SPARE_DESCRIPTORS = 8


def descriptors(stack):
    return {p: len(os.listdir(f"/proc/{p}/fd")) for p in stack.responder_pids()}


def no_leak(before, stack):
    def few():
        now = descriptors(stack)
        return all(now[p] <= n + SPARE_DESCRIPTORS for p, n in before.items() if p in now)

    proc.until(few, f"descriptors: {before} before, {descriptors(stack)} now", 10, 0.1)


def all_is_well(stack, load, lossy=False):
    """What was finished is in storage as it was sent, and delivered once."""
    assert not load.faults(), load.faults()
    finished = load.finished()
    assert finished
    gone = 0
    for path, data in finished.items():
        assert stack.stored(path) == data, path
        if lossy and stack.tus.head(path).status == 404:
            gone += 1
            continue
    stack.messages_are_due()
    stack.deliver_all()
    names = stack.delivered("edav")
    for path, data in finished.items():
        got = [v for k, v in names.items() if upload_id(path) in k]
        assert got == [data] or (lossy and got == []), path
    return gone


def tell(what, back, load, before, s):
    """What a long run is made for."""
    lost = sum(x.lost for x in load.senders)
    print(
        f"{what}: {len(back)} rounds, all senders on after {sorted(back)[len(back) // 2]:.1f} s"
        f" (median), {max(back):.1f} s (worst); {len(load.finished())} uploads finished, {lost} lost;"
        f" answers {dict(load.total('seen'))}; descriptors {list(before.values())} before,"
        f" {list(descriptors(s).values())} after",
        flush=True,
    )


def disturbed(s, happen, heal=None, lossy=False, rest=0):
    """While senders are at it, ${happen}, ${heal}, and look how soon they get on. How many of the
    finished uploads are not known afterwards."""
    with Load(s.tus, lossy, rest=rest) as load:
        load.await_progress(0, 30)
        before = descriptors(s)
        back = []
        for _ in range(ROUNDS):
            happen()
            if heal:
                heal()
            began = time.monotonic()
            load.await_progress(began, BACK_WITHIN)
            back.append(time.monotonic() - began)
        load.await_progress(time.monotonic(), BACK_WITHIN)
    no_leak(before, s)
    gone = all_is_well(s, load, lossy)
    if LONG:
        tell(happen.__name__, back, load, before, s)
    unfamiliar = set(load.total("seen")) - {200, 201, 204, 404, *LATER}
    assert not unfamiliar, load.total("seen")
    if not lossy:
        assert 404 not in load.total("seen") and gone == 0
    return gone


def test_redis_is_asked_twice_for_a_patch(start):
    s = start()
    data = payload(30_000)
    for _ in range(2 * s.groups):
        s.tus.upload(data)  # every script is known, every group has its connections
        s.tus.head(s.tus.new(10))
    path = s.tus.new(3 * len(data))
    watch = Watch(s.redis)
    for n, what in enumerate(("first", "in the middle", "last")):
        expect(s.tus.patch(path, n * len(data), data), 204)
        asked = watch.seen()
        assert len(asked) <= 2, (what, asked)
        expect(s.tus.head(path), 200, Upload_Offset=(n + 1) * len(data))
        asked = watch.seen()
        assert len(asked) <= (1 if what == "last" else 3), ("HEAD", what, asked)
    expect(s.tus.patch(path, 0, data), 409)
    asked = watch.seen()
    assert len(asked) <= 2, ("refused", asked)
    assert s.stored(path) == 3 * data


def test_redis_stopped(start):
    s = start()

    def stop():
        s.redis.kill()
        r = s.tus.create(10, timeout=60)
        assert r.status == 503 and r.get("Retry-After"), r
        health = json.loads(s.get("/health").body)
        down = [x["service"] for x in health["services"] if x["status"] == "DOWN"]
        assert down == ["state (redis)"], health

    disturbed(s, stop, s.redis.start)


def test_redis_restarted(start):
    s = start()

    def again():
        s.redis.stop()
        s.redis.start()

    disturbed(s, again)


def test_redis_restarted_empty(start):
    s = start()

    def empty():
        s.redis.kill()
        shutil.rmtree(f"{s.redis.dir}/appendonlydir")
        s.redis.start()

    # What a sender finds missing in between it begins anew; what was finished is known again.
    # Each round registers all of them, in which time more come: with little rest that would explode.
    gone = disturbed(s, empty, lambda: recover(s), lossy=True, rest=0.5 if LONG else 0)
    assert gone == 0, f"{gone} finished uploads are not known"


def test_redis_paused(start):
    s = start()

    def pause():
        s.redis.pause()
        began = time.monotonic()
        r = s.tus.create(10, timeout=60)
        assert r.status == 503, r
        time.sleep(max(0, PAUSE - (time.monotonic() - began)))
        s.redis.pause(False)

    disturbed(s, pause)


def test_failed_over_by_sentinel(start):
    s = start(state=Sentinels)

    def fail_over():
        was = s.redis.current()
        was.kill()
        proc.until(lambda: s.redis.master_port() != was.port, "another master", AGREED, 0.1)
        # A Sentinel would tell it, after a while.
        was.start(replica_of=s.redis.master_port())
        # On a busy machine the Sentinels may take the new one for dead and turn back.
        proc.until(s.redis.settled, "one follows the other", AGREED, 0.1)

    # What was not yet replicated is gone with the old master.
    disturbed(s, fail_over, lossy=True)


def holder_of(stack, path):
    """The group whose responder writes the upload; its description may be another's."""
    for n in range(stack.groups):
        with open(f"{stack.dir}/log/dex-upload{n or ''}.log", errors="replace") as f:
            if any("op=begin" in line and f"{upload_id(path)} " in line for line in f):
                return n
    return None


def lock_of(path):
    ident = upload_id(path)
    return f"dex:{{{ident[0]}}}:lock:{ident}"


def test_the_holder_of_a_lock_is_stopped(start):
    s = start()
    for _ in range(ROUNDS):
        data = payload(200_000)
        path = s.tus.new(len(data))
        old = s.tus.start_patch(path, 0, len(data))
        old.send(data[:50_000])
        proc.until(lambda path=path: s.size(path) == 50_000, "bytes arrive", 5)
        group = s.fcgis[holder_of(s, path)]
        (pid,) = proc.children(group.pid)
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            proc.until(lambda pid=pid: proc.stopped(pid), "all its threads stand still", 10)
            asked = time.monotonic()
            lease = s.redis.call("PTTL", lock_of(path)) / 1000
            assert 0 < lease <= LEASE, lease
            # What its client goes on to send must not get in when it wakes.
            old.send(b"?" * 50_000)

            def offset(path=path):
                try:
                    r = s.tus.head(path, timeout=4)
                except (OSError, http.Closed):
                    return None  # it went to the group that is stopped
                assert r.status in (200, 423, 503), r
                return r.get("Upload-Offset") if r.status == 200 else None

            at = int(proc.until(offset, "another holder", 3 * LEASE, 0.05))
            assert at == 50_000, at
            waited = time.monotonic() - asked
            assert waited >= lease - 0.01, f"a lease of {lease} s was not waited for: {waited} s"

            def finish(path=path, data=data, at=at):
                try:
                    r = s.tus.patch(path, at, data[at:], timeout=4)
                except (OSError, http.Closed):
                    return False
                assert r.status in (204, *LATER), r
                return r.status in (204, 409)

            proc.until(finish, "the rest is taken by another", 3 * LEASE, 0.05)
            time.sleep(max(0, 2 * LEASE - (time.monotonic() - began)))
        finally:
            os.kill(pid, signal.SIGCONT)
        r = old.response("PATCH")
        assert r.status in (409, 410, 423, 503), r
        old.close()
        expect(s.tus.head(path), 200, Upload_Offset=len(data))
        assert s.stored(path) == data
        s.deliver_all()
        (got,) = [v for k, v in s.delivered("edav").items() if upload_id(path) in k]
        assert got == data


def test_sweeps_share_deliveries(start):
    s = start()
    paths = []

    def send(n):
        for _ in range(n):
            r = s.tus.create(5, body=b"12345")
            assert r.status == 201, r
            paths.append(s.tus.path(r))

    shares = [DELIVERIES // 6 + (n < DELIVERIES % 6) for n in range(6)]
    threads = [threading.Thread(target=send, args=(n,)) for n in shares]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    assert len(paths) == DELIVERIES
    sweeps = [
        subprocess.Popen(
            [s.binary("dex-deliver")], cwd=s.dir, env=s.env(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(6)
    ]  # fmt: skip
    outputs = [p.communicate(timeout=600)[0] for p in sweeps]
    assert [p.returncode for p in sweeps] == [0] * 6, outputs
    told = [line for out in outputs for line in out.splitlines()]
    names = s.delivered("edav")
    assert len(names) == len(paths)
    for path in paths:
        ident = upload_id(path)
        assert len(s.reports(path, "blob-file-copy")) == 1, path
        assert sum(ident in line for line in told) == 1, path
    busy = sum(1 for out in outputs if out.strip())
    assert busy > 1, "one sweep did all of it"


def test_health_and_check_config_tell_what_would_be_lost(start):
    s = start()

    def state():
        services = json.loads(s.get("/health").body)["services"]
        return next(x for x in services if x["service"] == "state (redis)")

    assert state() == {"service": "state (redis)", "status": "UP", "health_issue": "None reported"}
    r = s.check("--check-config")
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    s.redis.call("CONFIG", "SET", "appendfsync", "everysec")
    r = s.check("--check-config")
    assert r.returncode == 0 and "appendfsync is not always" in r.stderr, r.stderr
    proc.until(lambda: "appendfsync" in state()["health_issue"], "a warning in /health", 20, 0.5)
    assert state()["status"] == "UP"
    for bad, what in (
        ("redis://u:geheim@h:0", "port"),
        ("rediss://u:geheim@h/x", "number"),
        ("http://u:geheim@h", "begins"),
        (f"redis://:geheim@127.0.0.1:{s.redis.port}", "user and password"),
    ):
        for program in ("dex-upload", "dex-deliver"):
            args = ["--check-config"] if program == "dex-upload" else []
            r = s.check(*args, program=program, REDIS_CONNECTION_STRING=bad)
            assert r.returncode in (2, 3), (bad, program, r)
            assert what in r.stderr and "geheim" not in r.stderr + r.stdout, (bad, r.stderr)


TABLES = {
    "uploads": "id, kind, status, length, offset, beyond, created_at, touched_at, completed_at,"
    " delivered_at, ended_at, removable, token, metadata, manifest, concat, owner",
    "deliveries": "upload_id, target, status, attempt, due_at, queued_at, ended_at, location,"
    " issues",
    "outbox": "upload_id, sink, name, replaces, data, due_at, attempt, head",
}


def rows(db):
    con = sqlite3.connect(db)
    try:
        return {t: sorted(map(str, con.execute(f"SELECT {c} FROM {t}"))) for t, c in TABLES.items()}
    finally:
        con.close()


def a_bit_of_everything(s):
    """Uploads in every state; the path of one that is half there."""
    t = s.tus
    t.upload(payload(3000))
    s.deliver_all()
    t.upload(payload(4000))  # its delivery is due
    os.rmdir(s.reports_dir) if not os.listdir(s.reports_dir) else shutil.rmtree(s.reports_dir)
    with open(s.reports_dir, "w"):
        t.upload(payload(10))  # what it reports stays in the outbox
    os.unlink(s.reports_dir)
    a, b = t.partial(b"a" * 100), t.partial(b"b" * 100)
    r = t.create(None, headers={"Upload-Concat": f"final;{a} {b}"})
    assert r.status == 201, r
    t.new(headers={"Upload-Defer-Length": "1"})
    expect(t.delete(t.new(10)), 204)
    for _ in range(150):
        t.new(5)
    half = t.new(1000)
    expect(t.patch(half, 0, b"x" * 400), 204)
    return half


def test_a_state_moves_to_redis_and_back(start):
    s = start(state="sqlite", groups=1)
    half = a_bit_of_everything(s)
    s.stop_responders()
    before = rows(s.state_db)
    assert all(before.values()), {t: len(r) for t, r in before.items()}
    counts = ", ".join(
        f"{len(before[t])} {name}"
        for t, name in (
            ("uploads", "uploads"),
            ("deliveries", "deliveries"),
            ("outbox", "reports and events"),
        )
    )
    redis = Redis(f"{s.dir}/redis")
    try:
        there = ("--migrate-state", f"sqlite:{s.state_db}", "redis")
        r = s.deliver(*there, "--dry-run", env=redis.settings)
        assert (r.returncode, r.stdout) == (0, f"would move {counts}\n"), r
        assert redis.keys("dex:{?}:u:*") == []
        # Cut off in the middle, it goes on.
        once = {"DEX_CRASH_AT": "state-moved", "DEX_CRASH_ONCE": f"{s.dir}/once"}
        r = s.deliver(*there, env={**redis.settings, **once})
        if r.returncode != 0:
            assert 0 < len(redis.keys("dex:{?}:u:*")) < len(before["uploads"])
            r = s.deliver(*there, env=redis.settings)
            assert "had been moved before" in r.stdout, r
        assert r.returncode == 0 and r.stdout.startswith(f"moved {counts}"), r
        # Done: what is full is not filled.
        r = s.deliver(*there, env=redis.settings)
        assert r.returncode == 2 and "not empty" in r.stderr, r
        back = f"{s.dir}/back.db"
        r = s.deliver("--migrate-state", "redis", f"sqlite:{back}", env=redis.settings)
        assert (r.returncode, r.stdout) == (0, f"moved {counts}\n"), r
        assert rows(back) == before
        assert redis.password not in r.stdout + r.stderr
        # What was moved is worked with.
        s.settings.update(redis.settings)
        s.start_responders()
        s.await_service()
        assert s.tus.offset(half) == 400
        expect(s.tus.patch(half, 400, b"y" * 600), 204)
        s.deliver_all()
        assert s.stored(half) == b"x" * 400 + b"y" * 600
        assert len(s.delivered("edav")) == 5
        for args, what in (
            (("--migrate-state", "redis"), "two places"),
            (("--migrate-state", "redis", "redis"), "the same"),
            (("--migrate-state", "redis://:geheim@h", "redis"), "is named as"),
        ):
            r = s.deliver(*args)
            assert r.returncode == 2 and what in r.stderr and "geheim" not in r.stderr, r
    finally:
        s.stop_responders()
        redis.stop()


def recover(s, *args):
    r = s.deliver("--recover", *args)
    assert r.returncode == 0, r
    return [int(n) for n in re.findall(r"\d+", r.stdout)]


def test_uploads_are_registered_again_after_the_state_was_lost(start):
    s = start()
    t = s.tus
    whole = {t.upload(payload(30_000)): None, t.upload(b"abc"): None}
    a, b = t.partial(b"a" * 100), t.partial(b"b" * 100)
    r = t.create(None, headers={"Upload-Concat": f"final;{a} {b}"})
    assert r.status == 201, r
    whole[t.path(r)] = None
    empty = t.new(0)
    whole[empty] = None
    for path in whole:
        whole[path] = s.stored(path)
    info = {path: s.info(path)["manifest"] for path in whole}
    s.deliver_all()
    fresh = t.new(10)
    half = t.new(1000)
    expect(t.patch(half, 0, b"x" * 400), 204)
    deferred = t.new(headers={"Upload-Defer-Length": "1"})
    expect(t.patch(deferred, 0, b"y" * 40), 204)
    gone = t.new(10)
    expect(t.delete(gone), 204)
    assert s.left(gone) == []
    assert len(s.left(half)) == 2
    s.redis.call("FLUSHALL")
    expect(t.head(half), 404)
    # Partial uploads are not described, and are of no use without a final one.
    assert recover(s, "--dry-run") == [4, 3, 0, 0, 2]
    expect(t.head(half), 404)
    assert recover(s) == [4, 3, 0, 0, 2]
    assert recover(s) == [0, 0, 7, 0, 2]
    for path, offset in ((half, 400), (fresh, 0), (deferred, 40)):
        expect(t.head(path), 200, Upload_Offset=offset)
    expect(t.patch(half, 400, b"x" * 600), 204)
    expect(t.patch(deferred, 40, b"y", {"Upload-Length": "41"}), 204)
    s.deliver_all()
    for path, data in whole.items():
        assert s.stored(path) == data
        assert s.info(path)["manifest"] == info[path]
        (delivery,) = s.info(path)["deliveries"]
        assert delivery["status"] == "SUCCESS", delivery
    names = s.delivered("edav")
    for path, data in {**whole, half: b"x" * 1000, deferred: b"y" * 41}.items():
        assert data in [v for k, v in names.items() if upload_id(path) in k], path
    expect(t.delete(half), 204)
    assert s.left(half) == []


def test_objects_are_registered_again_after_the_state_was_lost(start):
    for storage in ("s3", "azure"):
        s = start(storage=storage, groups=1, settings={"DEX_PART_SIZE": "5MiB"})
        t = s.tus
        data = payload(30_000)
        parts = payload(6 << 20)
        whole = {t.upload(data): data, t.upload(parts): parts, t.new(0): b""}
        a, b = t.partial(b"a" * 100), t.partial(b"b" * 100)
        r = t.create(None, headers={"Upload-Concat": f"final;{a} {b}"})
        assert r.status == 201, r
        whole[t.path(r)] = b"a" * 100 + b"b" * 100
        info = {path: s.info(path)["manifest"] for path in whole}
        half = t.new(20_000)
        expect(t.patch(half, 0, b"x" * 400), 204)
        fresh = t.new(10)
        deferred = t.new(headers={"Upload-Defer-Length": "1"})
        expect(t.patch(deferred, 0, b"y" * 40), 204)
        s.redis.call("FLUSHALL")
        # The token that goes on with the parts is gone, and of a length that was not told nobody
        # knows when it is whole.
        assert recover(s, "--dry-run") == [4, 0, 0, 3, 2], storage
        assert recover(s) == [4, 0, 0, 3, 2], storage
        assert recover(s) == [0, 0, 4, 3, 2], storage
        for path in (half, fresh, deferred):
            expect(t.head(path), 404)
        s.deliver_all()
        names = s.delivered("edav")
        for path, expected in whole.items():
            expect(t.head(path), 200, Upload_Offset=len(expected))
            assert s.info(path)["manifest"] == info[path]
            got = [v for k, v in names.items() if upload_id(path) in k]
            assert got == [expected], (storage, path)
            expect(t.delete(path), 204)
            assert s.left(path) == []


def test_descriptions_are_kept_as_asked(start):
    for state, keep, kept in (("redis", "off", 0), ("sqlite", None, 0), ("sqlite", "on", 1)):
        s = start(state=state, groups=1, settings={"DEX_KEEP_INFO": keep})
        path = s.tus.upload(b"abc")
        assert len(s.left(path)) == 1 + kept, (state, keep, s.left(path))
        s.deliver_all()


class Restricted(Redis):
    """With a user that may do what deploy/two-hosts.md says, and no more."""

    @property
    def settings(self):
        with open(f"{ROOT}/deploy/two-hosts.md") as f:
            (line,) = [x.strip() for x in f if x.strip().startswith("user dex on")]
        rules = line.replace(">PASSWORD", f">{self.password}").split()[1:]
        self.call("ACL", "SETUSER", *rules)
        return {"REDIS_CONNECTION_STRING": f"redis://dex:{self.password}@127.0.0.1:{self.port}"}


def test_the_user_needs_no_more_than_documented(start):
    s = start(state=Restricted, watch=True)
    half = s.tus.new(10)
    expect(s.tus.patch(half, 0, b"12345"), 204)
    whole = s.tus.upload(b"abc")
    expect(s.tus.delete(s.tus.new(10)), 204)

    def delivered():
        return any(upload_id(whole) in name for name in s.delivered("edav"))

    proc.until(delivered, "delivered by --watch", 20, 0.1)
    s.deliver_all()
    held = s.tus.start_patch(half, 5, 5)
    held.send(b"6")
    proc.until(lambda: s.size(half) == 6, "a byte arrives", 5)
    with proc.within(LEASE - 2, "asked for over PUBLISH"):
        assert s.tus.offset(half) == 6
    held.close()
    r = s.check("--check-config")
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    r = s.deliver("--migrate-state", "redis", f"sqlite:{s.dir}/copy.db")
    assert r.returncode == 0 and "moved 2 " not in r.stdout, r
    denied = [x for x in s.redis.call("ACL", "LOG") if "dex" in str(x)]
    assert denied == [], denied
    # What only happens with owners, limits and the like.
    allowed = s.redis.call("ACL", "LIST")
    (rules,) = [x.split() for x in allowed if x.startswith("user dex ")]
    used = set()
    for source in glob.glob(f"{ROOT}/backends/*redis*.c"):
        with open(source) as f:
            used |= set(re.findall(r"call\('([A-Z]+)'", f.read()))
    assert len(used) > 20
    assert {f"+{x.lower()}" for x in used} <= set(rules), (used, rules)
