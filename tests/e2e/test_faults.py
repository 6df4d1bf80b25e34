# SPDX-License-Identifier: Apache-2.0
"""Full disks, a locked or broken state store, targets that cannot be written."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time

from lib import proc
from lib.check import expect, expect_error
from lib.runner import Skip
from lib.tus import payload


@contextlib.contextmanager
def small_disk(size="8m"):
    """A file system of our own; only root can mount one."""
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    d = tempfile.mkdtemp(prefix="dex-e2e-disk-")
    r = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", d], capture_output=True
    )
    if r.returncode != 0:
        os.rmdir(d)
        raise Skip("no file system can be mounted here")
    try:
        yield d
    finally:
        subprocess.run(["umount", "-l", d], check=False)
        os.rmdir(d)


def fill(path):
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"\0" * 4096)


def test_disk_full(start):
    with small_disk() as disk:
        # The state lies elsewhere: its own full disk is another test.
        state = tempfile.mkdtemp(prefix="dex-e2e-state-")
        try:
            s = start(
                settings={
                    "LOCAL_FOLDER_UPLOADS_TUS": disk,
                    "DEX_STATE_DB": f"{state}/state.db",
                    "DEX_METRICS_FILE": f"{state}/metrics",
                    "LOCAL_REPORTS_FOLDER": f"{state}/reports",
                    "LOCAL_EVENTS_FOLDER": f"{state}/events",
                }
            )
            s.keeps_at(disk, state)
            data = payload(6 << 20)
            path = s.tus.new(len(data))
            expect(s.tus.patch(path, 0, data[: 1 << 20]), 204)
            fill(f"{disk}/ballast")
            r = expect_error(s.tus.patch(path, 1 << 20, data[1 << 20 :]), 507)
            offset = s.tus.offset(path)
            assert offset >= 1 << 20, "an acknowledged byte was lost"
            if r.get("Upload-Offset"):
                assert int(r.get("Upload-Offset")) == offset, (r, offset)
            assert s.stored(path)[:offset] == data[:offset]
            r = s.tus.patch(path, offset, data[offset:])
            expect(r, 507)
            os.unlink(f"{disk}/ballast")
            offset = s.tus.offset(path)
            expect(s.tus.patch(path, offset, data[offset:]), 204)
            assert s.stored(path) == data
            s.deliver_all()
            assert "507" in s.logs()
        finally:
            shutil.rmtree(state, ignore_errors=True)


def test_disk_full_under_everything(start):
    """State, reports and data on one full disk: errors, no crash, and it goes on with room."""
    with small_disk("32m") as disk:
        s = start(settings={"LOCAL_FOLDER_UPLOADS_TUS": disk})
        s.keeps_at(disk)
        data = payload(1 << 20)
        path = s.tus.new(len(data))
        expect(s.tus.patch(path, 0, data[:1000]), 204)
        fill(f"{disk}/ballast")
        for _ in range(5):
            r = s.tus.patch(path, 1000, data[1000:])
            assert r.status in (503, 507, 409), r
            assert s.tus.create(5).status in (201, 503, 507)
        os.unlink(f"{disk}/ballast")

        def goes_on():
            offset = s.tus.offset(path)
            return s.tus.patch(path, offset, data[offset:]).status == 204

        proc.until(goes_on, "the upload goes on", 15, 0.2)
        assert s.stored(path) == data
        s.deliver_all()


def test_target_disk_full(start):
    with small_disk("2m") as disk:
        s = start(settings={"DEX_RETRY_DELAY": "10ms", "EVENT_MAX_RETRY_COUNT": "50"})
        os.makedirs(s.targets)
        os.symlink(disk, f"{s.targets}/edav")
        data = payload(3 << 20)
        s.tus.upload(data)
        r = s.deliver()
        assert r.returncode == 1, r
        assert s.delivered("edav") == {}, "a part of a file is in the target"
        used = sum(len(n) for _, _, names in os.walk(disk) for n in names)
        assert used == 0, "a temporary file was left on the full disk"


@contextlib.contextmanager
def locked(db):
    con = sqlite3.connect(db, timeout=10, isolation_level=None)
    con.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        con.execute("ROLLBACK")
        con.close()


def test_state_locked_by_another_process(start):
    s = start()
    path = s.tus.new(10)
    expect(s.tus.patch(path, 0, b"abc"), 204)
    with locked(s.state_db):
        began = time.monotonic()
        r = s.tus.create(5, timeout=60)
        expect_error(r, 503)
        assert r.get("Retry-After"), r
        r = s.tus.patch(path, 3, b"defghij", timeout=60)
        expect_error(r, 503)
        assert r.get("Retry-After"), r
        assert time.monotonic() - began < 60
        expect(s.get("/version"), 200)
    offset = proc.until(
        lambda: s.tus.head(path).get("Upload-Offset"), "the store is free again", 10
    )
    assert int(offset) >= 3
    if int(offset) < 10:
        expect(s.tus.patch(path, int(offset), b"abcdefghij"[int(offset) :]), 204)
    assert s.stored(path) == b"abcdefghij"
    assert [
        x for x in s.logs().splitlines() if "level=warn" in x or "level=error" in x
    ], "not logged"


def test_state_locked_for_a_moment(start):
    """A backup or a long sweep for a second is not an error."""
    s = start()
    path = s.tus.new(10)
    with locked(s.state_db):
        answers = []
        th = threading.Thread(target=lambda: answers.append(s.tus.patch(path, 0, b"abcdefghij")))
        th.start()
        th.join(0.7)
    th.join()
    expect(answers[0], 204)


def break_database(stack):
    with open(stack.state_db, "r+b") as f:
        f.write(b"this is no database, however long one looks at it" * 4000)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.truncate(stack.state_db + suffix, 0)


def test_state_broken_while_running(start):
    # SQLite maps a file that we cut: a thread may die of SIGBUS, which is no defect to report.
    s = start(settings={"ASAN_OPTIONS": "handle_sigbus=0"})
    path = s.tus.new(10)
    break_database(s)
    s.deaths_expected = True

    def answered():
        try:
            return s.tus.head(path, timeout=5)
        except OSError:
            return None

    r = proc.until(answered, "some answer", 10)
    expect(r, (502, 503))
    assert r.get("Retry-After"), r
    created = s.tus.create(5)
    assert created.status in (502, 503), created
    proc.until(lambda: "level=error" in s.logs() or "level=warn" in s.logs(), "a log line", 10)


def test_state_corrupt_at_start(start):
    s = start()
    s.stop_responders()
    break_database(s)
    s.deaths_expected = True
    s.start_responders()
    proc.until(lambda: "state.db" in s.logs(), "the log names the file", 10)
    r = s.tus.create(5, timeout=10)
    expect_error(r, 503)
    assert r.get("Retry-After"), r
    os.unlink(s.state_db)
    proc.until(lambda: s.tus.create(5, timeout=10).status == 201, "the service is back", 15)


def test_reports_folder_lost(start):
    """A sink that is down never fails an upload, and what could not be written comes later."""
    s = start()
    path = s.tus.new(10)
    shutil.rmtree(s.reports_dir)
    with open(s.reports_dir, "w") as f:
        f.write("in the way")
    expect(s.tus.patch(path, 0, b"abcdefghij"), 204)
    os.unlink(s.reports_dir)

    def written():
        s.messages_are_due()
        s.deliver()
        return s.reports(path, "upload-completed")

    proc.until(written, "the report is written later", 15, 0.2)
    assert len(s.reports(path, "upload-completed")) == 1


def test_storage_lost(start):
    s = start()
    path = s.tus.new(10)
    expect(s.tus.patch(path, 0, b"abc"), 204)
    prefix = f"{s.data}/tus-prefix"
    os.rename(prefix, prefix + ".away")
    with open(prefix, "w") as f:
        f.write("in the way")
    r = s.tus.patch(path, 3, b"defghij")
    expect_error(r, 503)
    assert r.get("Retry-After"), r
    os.unlink(prefix)
    os.rename(prefix + ".away", prefix)
    assert s.tus.offset(path) == 3
    expect(s.tus.patch(path, 3, b"defghij"), 204)
    assert s.stored(path) == b"abcdefghij"


def test_read_only_target(start):
    if os.geteuid() != 0:
        raise Skip("mounting needs root")
    with small_disk() as disk:
        s = start(settings={"EVENT_MAX_RETRY_COUNT": "0"})
        os.makedirs(s.targets)
        os.symlink(disk, f"{s.targets}/edav")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        path = s.tus.upload(b"abc")
        r = s.deliver()
        assert r.returncode == 1 and "ead-only" in r.stdout + r.stderr, r
        (delivery,) = s.info(path)["deliveries"]
        assert delivery["status"] == "FAILURE", delivery
        assert "ead-only" in delivery["issues"][-1]["message"], delivery
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert s.deliver("--retry").returncode == 0
