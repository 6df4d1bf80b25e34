# SPDX-License-Identifier: Apache-2.0
"""Senders that go on as clients do, whatever happens to the service meanwhile."""

import collections
import random
import threading
import time

from . import proc

# What a client repeats; everything else would make it give up.
LATER = (409, 423, 503)


class Sender(threading.Thread):
    """Uploads one file after the other, as a client that resumes. ${lossy}: uploads may vanish;
    ${rest}: seconds between two files."""

    def __init__(self, tus, lossy, rest, seed):
        super().__init__()
        self.tus, self.lossy, self.rest = tus, lossy, rest
        self.rng = random.Random(seed)
        self.ending = threading.Event()
        self.finished = {}  # path: data
        self.finished_at = []
        self.seen = collections.Counter()
        self.lost = 0
        self.fault = None

    def run(self):
        try:
            while not self.ending.is_set():
                data = self.rng.randbytes(self.rng.randrange(1, 150_000))
                path = self.send(data)
                if path:
                    self.finished[path] = data
                    self.finished_at.append(time.monotonic())
                self.ending.wait(self.rest)
        except Exception as e:  # noqa: BLE001 - told by the test
            self.fault = f"{type(e).__name__}: {str(e)[:500]}"

    def ask(self, method, *args, **kw):
        """An answer that is not "later"; None when the test is over."""
        end = time.monotonic() + 120
        while True:
            r = method(*args, timeout=60, **kw)
            self.seen[r.status] += 1
            if r.status not in LATER:
                return r
            if r.status == 503:
                assert r.get("Retry-After"), r
            if self.ending.is_set() or r.status == 409:
                return r
            assert time.monotonic() < end, f"still {r}"
            time.sleep(0.05)

    def send(self, data):
        r = self.ask(self.tus.create, len(data))
        if r.status in LATER:
            return None
        assert r.status == 201, r
        path = self.tus.path(r)
        acknowledged = 0
        while True:
            r = self.ask(self.tus.head, path)
            if r.status in LATER and self.ending.is_set():
                return None
            if r.status == 404 and self.lossy:
                self.lost += 1
                return None
            assert r.status == 200, r
            offset = int(r.get("Upload-Offset"))
            if not self.lossy:
                assert offset >= acknowledged, f"{acknowledged} acknowledged, {offset} left"
            if offset == len(data):
                return path
            piece = data[offset : offset + self.rng.randrange(1, 60_000)]
            r = self.ask(self.tus.patch, path, offset, piece)
            if r.status == 204:
                acknowledged = int(r.get("Upload-Offset"))
            elif r.status == 404 and self.lossy:
                self.lost += 1
                return None
            else:
                assert r.status in LATER, r


class Load:
    """${n} senders at once, for as long as it is entered."""

    def __init__(self, tus, lossy=False, n=6, rest=0):
        self.senders = [Sender(tus, lossy, rest, seed) for seed in range(n)]

    def __enter__(self):
        for x in self.senders:
            x.start()
        return self

    def __exit__(self, *_):
        for x in self.senders:
            x.ending.set()
        for x in self.senders:
            x.join()

    def faults(self):
        return [x.fault for x in self.senders if x.fault]

    def total(self, name):
        """The Counter of that name of all senders."""
        return sum((getattr(x, name) for x in self.senders), collections.Counter())

    def await_progress(self, since, seconds):
        """Each sender has finished something that ends after ${since}."""

        def on():
            assert not self.faults(), self.faults()
            return all(any(t > since for t in list(x.finished_at)) for x in self.senders)

        proc.until(on, f"all senders get on: {self.total('seen')}", seconds, 0.02)

    def finished(self):
        return {p: d for x in self.senders for p, d in x.finished.items()}
