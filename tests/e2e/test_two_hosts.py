# SPDX-License-Identifier: Apache-2.0
"""deploy/two-hosts.md, as it is written; then its lines are cut.

DEX_TEST_ROUNDS: how often each line is cut.
"""

import collections
import os
import threading
import time

from lib import http, proc
from lib.check import expect
from lib.load import LATER, Load
from lib.tus import Tus, payload, upload_id
from lib.two_hosts import HOSTS, PUBLIC, REDIS, S3, TwoHosts

ROUNDS = int(os.environ.get("DEX_TEST_ROUNDS", "1"))
LONG = "DEX_TEST_ROUNDS" in os.environ
LEASE = 8
BACK_WITHIN = 10
# Longer than a lease, so that somebody else has taken what the host held; in a long run longer than
# a request to the store may take, too.
CUT = 45 if LONG else LEASE + 4
# Connections that are kept for the next request, with what libcurl needs for each of them.
SPARE_DESCRIPTORS = 32
# Some 40 requests a second would like to: those of one host tell each other that it is no use.
MOST_TRIES_PER_S = 8
MOST_AT_ONCE = 24
SMALL = b"0123456789"


def settings_are_good(w):
    for host in w.hosts:
        argv = ["dex-upload", "--appconf", "/etc/dex-upload/dex-upload.env", "--check-config"]
        r = host.run(*argv)
        assert r.stderr == "", r.stderr
        for service in w.health(host)["services"]:
            assert service["status"] == "UP" and service["health_issue"] == "None reported", service


def begun(w, data, t=None):
    """An upload whose first half has come in: its path and the open PATCH. ${t}: to whom."""
    path = w.tus.new(len(data))
    c = (t or w.tus).start_patch(path, 0, len(data))
    c.send(data[: len(data) // 2])

    def arrived():
        r = http.request(w.door(w.hosts[1]), "GET", f"/info/{upload_id(path)}")
        assert r.status == 200, r
        return b'"size_bytes":%d' % (len(data) // 2) in r.body.replace(b" ", b"")

    proc.until(arrived, "the first half is safe", 20, 0.1)
    return path, c


def goes_on_at_the_other(w):
    data = payload(200_000)
    path, c = begun(w, data)
    (host,) = w.serving()
    (other,) = [h for h in w.hosts if h is not host]
    t = Tus(w.door(other))
    with proc.within(LEASE - 2, "the holder is asked to let go"):
        offset = t.offset(path)
    assert offset == len(data) // 2
    expect(t.patch(path, offset, data[offset:]), 204, Upload_Offset=len(data))
    r = c.response("PATCH")
    assert r.status in (204, 409, 423), r
    return path, data


def goes_on_after_a_death(w):
    """The host with the PATCH loses power: nobody is told that its connections are gone."""
    data = payload(200_000)
    path, c = begun(w, data)
    (host,) = w.serving()
    began = time.monotonic()
    w.switch.unplug(host)
    host.kill()
    for _ in range(4):
        sent = w.tus.create(10, timeout=5)
        expect(sent, 201)

    def freed():
        r = w.tus.head(path, timeout=30)
        assert r.status in (200, 423), r
        return r.status == 200

    proc.until(freed, "the lease ends", LEASE + 10, 0.1)
    assert time.monotonic() - began > LEASE / 4, "it was free before"
    w.tus.finish(path, data)
    c.close()
    w.switch.unplug(host, on=True)
    w.start_host(host)
    w.await_hosts()
    return path, data


def delivered(w, sent):
    """Each of ${sent}, {path: data}, lies where it belongs, and nothing else does."""

    def there():
        return len(w.archive.list()) >= len(sent)

    proc.until(there, f"{len(sent)} deliveries", 120, 0.2)
    names = w.delivered()
    assert len(names) == len(sent), list(names)
    for path, data in sent.items():
        got = [v for k, v in names.items() if upload_id(path) in k]
        assert got == [data], path
    for path in sent:
        # One whose sending could not be noted down is sent again, as it was.
        reports = w.reports(upload_id(path))
        assert all(r == reports[0] for r in reports), reports


def test_as_written():
    with TwoHosts() as w:
        settings_are_good(w)
        t = w.tus
        r = t.create(10)
        assert r.get("Location").startswith(f"https://{PUBLIC}/files/"), r
        r = w.request("GET", "/metrics")
        assert r.status in (403, 404), "the counters are for the inside"
        sent = {}
        for _ in range(4):
            data = payload(100_000)
            sent[t.upload(data, chunk=30_000)] = data
        for scenario in (goes_on_at_the_other, goes_on_after_a_death):
            path, data = scenario(w)
            sent[path] = data
        delivered(w, sent)
        for path in sent:
            n = len(proc.until(lambda p=path: w.reports(upload_id(p)), "a report", 10))
            assert n == 1, f"{n} deliveries of {path}"


def descriptors(w):
    return {
        p: len(os.listdir(f"/proc/{p}/fd"))
        for h in w.hosts
        for p in h.pids("dex-upload") + h.pids("dex-deliver")
    }


def no_leak(before, w):
    def few():
        now = descriptors(w)
        assert now.keys() == before.keys(), f"{before} before, {now} now"
        return all(now[p] <= n + SPARE_DESCRIPTORS for p, n in before.items())

    proc.until(few, f"descriptors: {before} before, {descriptors(w)} now", 10, 0.2)


class Probe(threading.Thread):
    """Asks one host, again and again."""

    def __init__(self, door):
        super().__init__()
        self.tus = Tus(door)
        self.ending = threading.Event()
        self.answers = []  # (when, answer)

    def run(self):
        while not self.ending.wait(0.2):
            r = self.tus.create(10, body=SMALL, timeout=120)
            self.answers.append((time.monotonic(), r))

    def went_well_after(self, when):
        return any(r.status == 201 for at, r in list(self.answers) if at > when)

    def sent(self):
        """{path: data}"""
        return {self.tus.path(r): SMALL for _, r in self.answers if r.status == 201}


def taken_by_another(w, host, path, data):
    """The host no longer holds what it cannot renew."""
    (other,) = [h for h in w.hosts if h is not host]
    t = Tus(w.door(other))
    began = time.monotonic()

    def free():
        r = t.head(path, timeout=30)
        assert r.status in (200, 423), r
        return r.get("Upload-Offset")

    offset = int(proc.until(free, "the lease ends", LEASE + 10, 0.1))
    assert offset == len(data) // 2, offset
    assert time.monotonic() - began > LEASE / 4, "it was free before"
    t.finish(path, data)


def goes_on(w, path, c, data, at):
    """The PATCH itself where the line was back soon enough, else another."""
    try:
        c.send(data[at:])
    except OSError:
        pass  # it was answered
    r = c.response("PATCH")
    assert r.status == 204 or r.status in LATER, r
    assert LONG or r.status == 204, r
    w.tus.finish(path, data)


def cut_for_a_while(w, host, service, load):
    """A PATCH is under way at the host when its line to the service is cut. The upload, and what it
    is to be."""
    data = payload(200_000)
    half = len(data) // 2
    path, c = begun(w, data, Tus(w.door(host)))
    probe = Probe(w.door(host))
    opened = [w.connections(service)]
    w.switch.cut(HOSTS[w.hosts.index(host)], service)
    began = time.monotonic()
    probe.start()
    if service == REDIS:
        c.send(b"?" * 1000)  # must not get in when all is well again
        taken_by_another(w, host, path, data)
    else:
        c.send(data[half : half + 1000])
    time.sleep(max(0, CUT - (time.monotonic() - began)))
    opened.append(w.connections(service))
    w.switch.heal()
    healed = time.monotonic()
    try:
        proc.until(lambda: probe.went_well_after(healed), "the host is back", BACK_WITHIN, 0.05)
        load.await_progress(healed, BACK_WITHIN)
        back = time.monotonic() - healed
    finally:
        probe.ending.set()
        probe.join()
    opened.append(w.connections(service))
    if service == REDIS:
        r = c.response("PATCH")
        assert r.status in LATER, r
        meanwhile = [r for at, r in probe.answers if at < healed]
        assert meanwhile and all(r.status == 503 for r in meanwhile), meanwhile
    else:
        goes_on(w, path, c, data, half + 1000)
    c.close()
    for _, r in probe.answers:
        assert r.status == 201 or (r.status in LATER and r.get("Retry-After")), r
    during, after = opened[1] - opened[0], opened[2] - opened[1]
    if LONG:
        answers = collections.Counter(r.status for _, r in probe.answers)
        print(
            f"cut from {service} for {healed - began:.1f} s: back after {back:.1f} s; answers"
            f" {dict(answers)}; {during} connections tried meanwhile, {after} afterwards",
            flush=True,
        )
    assert during <= MOST_TRIES_PER_S * (healed - began), opened
    assert after <= MOST_AT_ONCE, opened
    return path, data, probe.sent()


def test_a_line_is_cut():
    with TwoHosts() as w:
        host = w.hosts[0]
        w.count_connections(host)
        sent = {}
        with Load(w.tus, n=4) as load:
            load.await_progress(0, 30)
            before = descriptors(w)
            for _ in range(ROUNDS):
                for service in (REDIS, S3):
                    path, data, small = cut_for_a_while(w, host, service, load)
                    sent |= {path: data, **small}
        assert not load.faults(), load.faults()
        assert set(load.total("seen")) <= {200, 201, 204, *LATER}, load.total("seen")
        no_leak(before, w)
        delivered(w, sent | load.finished())
