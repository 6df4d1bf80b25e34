# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: nothing acknowledged is lost, nothing is delivered twice."""

import hashlib
import os
import random
import re
import subprocess
import time

from lib import http, proc, servers
from lib.check import expect
from lib.reports import validate
from lib.tus import payload, upload_id

SERVERS = ("nginx", "nginx+s3", "nginx+azure", "nginx+redis")
ROUNDS = {"file": 20, "s3": 10, "azure": 10, "redis": 2}
if "DEX_TEST_ROUNDS" in os.environ:
    ROUNDS = dict.fromkeys(ROUNDS, int(os.environ["DEX_TEST_ROUNDS"]))
# Deliveries stay within one service, so that its own ways to copy are interrupted, too.
SAME = {"file": "file", "s3": "s3", "azure": "az-blob"}
# In Redis the lock of one that was killed lasts as long as its lease.
BACK_WITHIN = {"sqlite": 8.0, "redis": 12.0}


def head_offset(stack, path):
    """Offset once the service answers again."""

    def asked():
        try:
            r = stack.tus.head(path, timeout=10)
        except OSError:
            return None
        return r if r.status == 200 else None

    return int(proc.until(asked, "HEAD answers after the kill", 15).get("Upload-Offset"))


def one_upload_with_kills(stack, rng, size):
    """Send in PATCHes of random size and kill all responders somewhere within each other one."""
    data = rng.randbytes(size)
    path = stack.tus.new(size)
    acknowledged = 0
    kills = stuck = 0
    while acknowledged < size:
        want = min(size - acknowledged, rng.randrange(1, size + 1))
        stop_at = rng.randrange(0, want + 1) if kills < 3 else None
        try:
            c = stack.tus.start_patch(path, acknowledged, want)
            with c:
                c.timeout(20)
                at = 0
                while at < want:
                    if stop_at is not None and at >= stop_at:
                        break
                    step = min(want - at, 256 * 1024)
                    c.send(data[acknowledged + at : acknowledged + at + step])
                    at += step
                if stop_at is not None:
                    time.sleep(rng.random() * 0.02)  # the kill may come at any moment
                    stack.kill_responders()
                    kills += 1
                    c.timeout(0.3)  # an answer may have been on its way
                r = c.response("PATCH")
                if r.status == 204:
                    acknowledged = int(r.get("Upload-Offset"))
        except OSError:
            pass
        with proc.within(BACK_WITHIN[stack.state], "the service answers again"):
            offset = head_offset(stack, path)
        assert offset >= acknowledged, f"{acknowledged} were acknowledged, {offset} are left"
        stuck = 0 if offset > acknowledged or kills < 3 else stuck + 1
        assert stuck < 10, f"{path} does not get beyond {offset} of {size}"
        acknowledged = offset
    return path, data


def same_bytes(got, wanted, path):
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), "the shorter's end")
        raise AssertionError(f"{path}: {len(got)} of {len(wanted)} bytes, the first other at {at}")


def test_killed_within_patches(start, storage, state):
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    s = start(responders=2, deliver_to=SAME[storage])
    sums = {}
    try:
        for _ in range(ROUNDS[state if state == "redis" else storage]):
            path, data = one_upload_with_kills(s, rng, rng.randrange(1 << 20, 32 << 20))
            sums[path] = hashlib.sha256(data).hexdigest()
            same_bytes(s.stored(path), data, path)
            if len(sums) % 5 == 0:
                s.deliver_all()
        s.messages_are_due()  # what a kill kept from being written
        s.deliver_all()
        names = s.delivered("edav")
        assert len(names) == len(sums), list(names)
        for path, wanted in sums.items():
            (got,) = [v for k, v in names.items() if upload_id(path) in k]
            assert hashlib.sha256(got).hexdigest() == wanted, f"delivered otherwise: {path}"
            for action in ("upload-completed", "blob-file-copy"):
                # At least once: the same report may stand there twice, never another.
                told = {str(r) for r in s.reports(path, action)}
                assert len(told) == 1, f"{len(told)} reports {action} of {path}"
    except AssertionError as e:
        raise AssertionError(f"seed {seed}: {e}") from e


def test_killed_responders_are_back(start):
    s = start(responders=2)
    for _ in range(5):
        killed = s.kill_responders()
        assert len(killed) == s.all_responders
        s.await_service(8)
        proc.until(
            lambda killed=killed: len(set(s.responder_pids()) - set(killed)) == s.all_responders,
            "all are back",
            5,
        )


def has_crash_points(stack):
    r = subprocess.run(
        ["grep", "-c", "DEX_CRASH_AT", stack.binary("dex-upload")], capture_output=True
    )
    return r.returncode == 0


def crash_points(storage, state):
    """Names in the sources, without those of other storage and state: {name: whether it is of this
    storage}."""
    own = {"file": "blob_file", "s3": "blob_s3", "azure": "blob_az"}
    others = tuple(prefix for kind, prefix in own.items() if kind != storage)
    others += ("state_redis",) if state == "sqlite" else ("state_sqlite",)
    others += ("state_move", "recover")  # not on the way of an upload
    points = {}
    # An object is committed before its upload is complete; a file is whole with its last byte.
    committing = {"upload-committing", "upload-committed"} if storage == "file" else set()
    for folder in ("core", "backends", "fcgi", "tools"):
        for at, _, files in os.walk(f"{servers.ROOT}/{folder}"):
            for name in files:
                if name.endswith(".c") and not name.startswith(others):
                    with open(os.path.join(at, name)) as f:
                        found = re.findall(r'crash_point\("([^"]+)"\)', f.read())
                    found = set(found) - committing
                    points |= dict.fromkeys(found, name.startswith(own[storage]))
    assert points, "no crash points in the sources"
    return dict(sorted(points.items()))


def survive(stack, method, **kw):
    """A request that may be cut off by the crash."""
    try:
        return method(**kw)
    except (OSError, http.Closed):
        return None


def send_everything(stack, path, data):
    """As a client that resumes until it is done."""
    end = time.monotonic() + 30
    half = (len(data) + 1) // 2  # a step in the middle is not the one that completes
    while True:
        offset = head_offset(stack, path)
        if offset == len(data):
            return
        assert time.monotonic() < end, "the upload does not get on"
        survive(stack, lambda: stack.tus.patch(path, offset, data[offset : offset + half]))


def deliver_everything(stack, path, about):
    last = []

    def delivered():
        stack.messages_are_due()
        last[:] = [stack.deliver("--verbose")]
        return stack.reports(path, "blob-file-copy")

    try:
        proc.until(delivered, "delivered", 20, 0.1)
    except proc.Timeout:
        listed = stack.deliver("--list").stdout
        raise AssertionError(f"{about}: not delivered: {last[0]}\n{listed}") from None


def test_killed_at_every_crash_point(start, storage, state):
    """Once in the responder, once in dex-deliver; the client resumes, and all comes out right."""
    settings = {"DEX_DELIVERY_LEASE": "500ms", "DEX_RETRY_DELAY": "10ms"}
    s = start(settings=settings, deliver_to=SAME[storage])
    if not has_crash_points(s):
        return
    s.stop_responders()
    for point, of_storage in crash_points(storage, state).items():
        once = f"{s.data}/crashed-{point}"  # where the sandbox lets it be made
        s.deaths_expected = True
        s.start_responders(DEX_CRASH_AT=point, DEX_CRASH_ONCE=once)
        s.await_service()
        # More than one part, where parts are what is interrupted.
        data = payload(20_000_000 if of_storage and storage != "file" else 300_000)
        created = None
        while created is None or created.status != 201:
            created = survive(s, lambda: s.tus.create(len(data)))
        path = s.tus.path(created)
        send_everything(s, path, data)
        assert s.stored(path) == data, point
        assert s.info(path)["upload_status"]["status"] == "Complete", point
        subprocess.run(
            [s.binary("dex-deliver")], cwd=s.dir, capture_output=True, timeout=60,
            env=s.env(DEX_CRASH_AT=point, DEX_CRASH_ONCE=once + "-deliver"),
        )  # fmt: skip
        deliver_everything(s, path, point)
        found = {k: v for k, v in s.delivered("edav").items() if upload_id(path) in k}
        assert list(found.values()) == [data], (point, list(found))
        copies = s.reports(path, "blob-file-copy")
        assert len(copies) == 1, f"{point}: delivered {len(copies)} times"
        validate(copies[0], "blob-file-copy")
        assert len(s.reports(path, "upload-completed")) >= 1, f"{point}: no upload-completed"
        assert len({str(r) for r in s.reports(path, "upload-completed")}) == 1, point
        assert s.events(path), f"{point}: no FileReady"
        s.stop_responders()
        assert os.path.exists(once) or os.path.exists(
            once + "-deliver"
        ), f"{point} was never reached"
    s.start_responders()
    s.await_service()


def test_K12_killed_before_the_sum_was_verified(start):
    s = start()
    if not has_crash_points(s):
        return
    data = payload(500000)
    path = s.tus.new(len(data))
    expect(s.tus.patch(path, 0, data[:1000]), 204)
    h = {"Upload-Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    arrivals = s.arrivals(path)
    with s.tus.start_patch(path, 1000, len(data) - 1000, h) as c:
        c.send(data[1000:400000])
        proc.until(lambda: arrivals() > 0, "bytes are written", 5)
        s.kill_responders()
    assert head_offset(s, path) == 1000, "unverified bytes were adopted"
    expect(s.tus.patch(path, 1000, data[1000:]), 204)
    assert s.stored(path) == data


def test_a_killed_web_server_loses_nothing(start):
    s = start()
    data = payload(2000000)
    path = s.tus.new(len(data))
    with s.tus.start_patch(path, 0, len(data)) as c:
        c.send(data[:1000000])
        proc.until(lambda: s.size(path) == 1000000, "bytes are written", 5)
        s.front.stop()
    s.daemons.remove(s.front)
    s.front = s._daemon(servers.nginx(s), "front.log", s.web)
    s.await_service()
    assert s.tus.offset(path) == 1000000
    send_everything(s, path, data)
    assert s.stored(path) == data


def test_sigterm_stores_what_has_come(start):
    s = start()
    data = payload(700000)
    path = s.tus.new(len(data))
    with s.tus.start_patch(path, 0, len(data)) as c:
        c.send(data[:300000])
        proc.until(lambda: s.size(path) == 300000, "bytes are written", 5)
        with proc.within(10, "the end after SIGTERM"):
            assert s.stop_responders() == 0
    s.start_responders()
    s.await_service()
    assert s.tus.offset(path) == 300000
