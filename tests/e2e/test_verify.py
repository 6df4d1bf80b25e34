# SPDX-License-Identifier: Apache-2.0
"""dex-deliver --verify: files that are no longer what was recorded of them, in every storage."""

import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import urllib.parse

from lib import proc
from lib.manifests import manifest
from lib.tus import payload, upload_id


def verify(stack, *args):
    return stack.deliver("--verify", *args)


def counts(r):
    """The figures of the summary, by their words."""
    words = r"as recorded|not comparable|differ|missing|unreadable"
    return {
        what: int(n) for n, what in re.findall(rf"(\d+) ({words})\b", r.stdout.splitlines()[-1])
    }


def nothing_but(**more):
    words = ("as recorded", "not comparable", "differ", "missing", "unreadable")
    return {w: more.get(w.replace(" ", "_"), 0) for w in words}


def overwrite(place, key, data):
    """What no program does: the file or object of that name is something else now."""
    if hasattr(place, "store"):
        place.store.put(key, data)
    else:
        with open(os.path.join(getattr(place, "path", None) or place.base, key), "wb") as f:
            f.write(data)


def remove(place, key):
    if hasattr(place, "store"):
        place.store.delete(key)
    else:
        os.unlink(os.path.join(place.path, key))


def key_of(stack, path, target="edav"):
    location = urllib.parse.unquote(stack.info(path)["deliveries"][0]["location"])
    (key,) = [k for k in stack.delivered(target) if location.endswith("/" + k)]
    return key


def changes_are_found(start, storage, deliver_to, state="sqlite"):
    s = start(storage=storage, deliver_to=deliver_to, state=state)
    datas = [payload(n) for n in (0, 1, 5_000_000)]
    paths = [
        s.tus.upload(d, manifest(filename=f"é {n} 100%.csv"), chunk=3_000_000)
        for n, d in enumerate(datas)
    ]
    s.tus.new(10, manifest())  # begun only: nothing to be checked
    s.deliver_all()
    r = verify(s, "--all", "--jobs", "3")
    assert r.returncode == 0 and counts(r) == nothing_but(as_recorded=6), r

    target = s.delivers_to["edav"]
    other = bytearray(datas[2])
    other[4_500_000] ^= 1
    overwrite(target, key_of(s, paths[2]), bytes(other))
    overwrite(target, key_of(s, paths[0]), b"longer")
    remove(target, key_of(s, paths[1]))
    r = verify(s, "--all", "--quiet")
    assert r.returncode == 4 and counts(r) == nothing_but(as_recorded=3, differ=2, missing=1), r
    lines = r.stdout.splitlines()
    assert len(lines) == 4, r
    (changed,) = [x for x in lines if upload_id(paths[2]) in x]
    for text in (
        "differs", "edav", hashlib.sha256(other).hexdigest(), hashlib.sha256(datas[2]).hexdigest(),
    ):  # fmt: skip
        assert text in changed, (text, changed)
    (longer,) = [x for x in lines if upload_id(paths[0]) in x]
    assert "size is 6, expected 0" in longer, longer
    (gone,) = [x for x in lines if upload_id(paths[1]) in x]
    assert gone.startswith("missing "), gone

    r = verify(s, upload_id(paths[2]))
    assert r.returncode == 4 and counts(r) == nothing_but(as_recorded=1, differ=1), r
    uid = upload_id(paths[2])
    overwrite(s.store, f"{'' if storage == 'file' else 'tus-prefix/'}{uid[:2]}/{uid}", bytes(other))
    r = verify(s, "--upload", upload_id(paths[2]))
    assert r.returncode == 4 and counts(r) == nothing_but(differ=2), r
    assert "in upload storage" in r.stdout, r


def test_changes_on_the_local_disk_are_found(start):
    changes_are_found(start, "file", "file")


def test_changes_in_s3_are_found(start):
    changes_are_found(start, "file", "s3")


def test_changes_beside_azure_are_found(start):
    changes_are_found(start, "azure", "file")


def test_changes_are_found_with_the_state_in_redis(start):
    changes_are_found(start, "s3", "file", state="redis")


def test_without_a_recorded_sum_nothing_is_called_good(start):
    s = start(settings={"DEX_DELIVERY_CHECKSUM": "false"})
    data = payload(100_000)
    path = s.tus.upload(data)
    s.deliver_all()
    r = verify(s, "--all")
    assert r.returncode == 0 and counts(r) == nothing_but(not_comparable=2), r
    overwrite(s.delivers_to["edav"], key_of(s, path), data[:-1] + bytes([data[-1] ^ 1]))
    r = verify(s, "--all")
    assert r.returncode == 4 and counts(r) == nothing_but(not_comparable=1, differ=1), r


def test_a_target_that_is_gone_is_told(start):
    s = start()
    path = s.tus.upload(b"abc")
    s.deliver_all()
    con = sqlite3.connect(s.state_db, timeout=20)
    con.execute("UPDATE deliveries SET target = 'former'")
    con.commit()
    con.close()
    r = verify(s, upload_id(path))
    assert r.returncode == 4 and counts(r) == nothing_but(as_recorded=1, unreadable=1), r
    assert "no target is called so any more" in r.stdout, r


def test_a_sample_is_the_same_for_the_same_seed(start):
    s = start()
    for n in range(40):
        s.tus.upload(b"x", manifest(filename=f"{n}.csv"))
    s.deliver_all()
    r = verify(s, "--sample", "30%")
    (seed,) = re.findall(r"--seed (\d+)", r.stdout)
    again = verify(s, "--sample", "30%", "--seed", seed)
    assert r.returncode == 0 and again.stdout == r.stdout, (r.stdout, again.stdout)
    assert counts(verify(s, "--sample", "100%"))["as recorded"] == 80
    # Which ones a seed chooses depends on their random ids: a few of the forty, never all.
    some = {
        counts(verify(s, "--sample", "30%", "--seed", str(n)))["as recorded"] for n in range(3)
    }
    assert max(some) < 80, some
    assert counts(verify(s, "--all", "--until", "1h")) == nothing_but()
    assert counts(verify(s, "--all", "--since", "1h"))["as recorded"] == 80


def test_it_can_be_stopped_and_says_so(start):
    s = start()
    path = s.tus.upload(b"abc")
    s.deliver_all()
    delivered = os.path.join(s.delivers_to["edav"].path, key_of(s, path))
    os.unlink(delivered)
    with open(delivered, "wb") as f:
        f.truncate(1 << 36)  # sparse, 64 GiB: hashing it takes minutes
    con = sqlite3.connect(s.state_db, timeout=20)
    con.execute("UPDATE uploads SET length = ?, offset = ?", (1 << 36, 1 << 36))
    con.execute("UPDATE uploads SET status = 4")
    con.commit()
    con.close()
    p = subprocess.Popen(
        [s.binary("dex-deliver"), "--verify", "--all"], cwd=s.dir, env=s.env(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        proc.until(lambda: reads(p.pid, delivered), "the file is being read", 20, 0.05)
        p.send_signal(signal.SIGTERM)
        out, errors = p.communicate(timeout=20)
    finally:
        p.kill()
    assert p.returncode == 5 and out.startswith("stopped; checked 0 files"), (
        p.returncode,
        out,
        errors,
    )


def reads(pid, path):
    fds = f"/proc/{pid}/fd"
    return any(os.path.realpath(f"{fds}/{fd}") == os.path.realpath(path) for fd in os.listdir(fds))


def test_usage(start):
    s = start()
    for args in ((), ("--all", "--sample", "5%"), ("--sample", "5"), ("--sample", "0%"), ("--sample", "101%"),
                 ("--all", "--list"), ("nonsense",), ("--all", "--seed", "1"), ("--all", "--since", "x")):  # fmt: skip
        r = verify(s, *args)
        assert r.returncode == 2 and r.stderr, (args, r)
    r = s.deliver("--all")
    assert r.returncode == 2, r
