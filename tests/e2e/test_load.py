# SPDX-License-Identifier: Apache-2.0
"""Many clients at once, everything mixed. Short here; the same runs under ThreadSanitizer."""

import os
import random
import threading
import time

from lib import http, proc
from lib.manifests import STREAMS, manifest
from lib.tus import payload

SERVERS = ("nginx", "nginx+redis")
SECONDS = float(os.environ.get("DEX_TEST_LOAD_SECONDS", "5"))
CLIENTS = 12


class Sender(threading.Thread):
    """Does what senders do until the time is over; keeps what it finished and what went wrong."""

    def __init__(self, stack, end, seed):
        super().__init__()
        self.stack, self.end, self.rng = stack, end, random.Random(seed)
        self.finished = {}
        self.faults = []

    def run(self):
        actions = [self.whole, self.chunks, self.broken, self.concat, self.deleted, self.looks]
        while time.monotonic() < self.end and not self.faults:
            action = self.rng.choice(actions)
            try:
                action(self.stack.tus)
            except Exception as e:  # noqa: BLE001 - told by the test
                self.faults.append(f"{action.__name__}: {type(e).__name__}: {str(e)[:500]}")

    def some(self):
        return payload(self.rng.randrange(1, 200_000))

    def some_manifest(self):
        return manifest(*self.rng.choice(list(STREAMS)))

    def whole(self, t):
        data = self.some()
        r = t.create(len(data), self.some_manifest(), body=data)
        assert r.status == 201, r
        self.finished[t.path(r)] = data

    def chunks(self, t):
        data = self.some()
        self.finished[
            t.upload(data, self.some_manifest(), chunk=self.rng.randrange(20_000, 90_000))
        ] = data

    def broken(self, t):
        data = self.some()
        path = t.new(len(data))
        c = t.start_patch(path, 0, len(data))
        c.send(data[: self.rng.randrange(len(data))])
        self.rng.choice([c.close, c.reset])()
        t.finish(path, data)
        self.finished[path] = data

    def concat(self, t):
        a, b = self.some(), self.some()
        parts = f"final;{t.partial(a)} {t.partial(b)}"
        r = t.create(None, self.some_manifest(), {"Upload-Concat": parts})
        assert r.status == 201, r
        self.finished[t.path(r)] = a + b

    def deleted(self, t):
        path = t.new(1000)
        t.patch(path, 0, b"x" * 500)
        r = t.delete(path)
        assert r.status == 204, r
        assert t.head(path).status in (404, 410)

    def looks(self, t):
        for path in ("/", "/health", "/version", "/metrics"):
            r = self.stack.get(path)
            assert r.status == 200, r
        if self.finished:
            self.stack.info(self.rng.choice(list(self.finished)))


def test_many_clients(start):
    s = start(watch=True, responders=2)
    end = time.monotonic() + SECONDS
    senders = [Sender(s, end, n) for n in range(CLIENTS)]
    for x in senders:
        x.start()
    for x in senders:
        x.join()
    faults = [f for x in senders for f in x.faults]
    assert not faults, "\n".join(faults)
    finished = {p: d for x in senders for p, d in x.finished.items()}
    assert len(finished) >= CLIENTS
    for path, data in finished.items():
        assert s.stored(path) == data, path

    def all_delivered():
        return s.deliver("--list", "--json").stdout.strip() == "[]"

    proc.until(all_delivered, f"{len(finished)} uploads are delivered", 120, 0.2)
    for path in finished:
        (delivery,) = s.info(path)["deliveries"]
        assert delivery["status"] == "SUCCESS", delivery
        with open(os.path.join(s.dir, delivery["location"]), "rb") as f:
            assert f.read() == finished[path], path
    errors = [x for x in s.logs().splitlines() if "level=error" in x]
    assert not errors, "\n".join(errors[:10])


def test_kept_connections(start):
    """Browsers keep their connection and send one request after the other."""
    s = start()
    with http.Conn(s.addr) as c:
        for n in range(200):
            c.head("GET", "/version" if n % 2 else "/info/x", {})
            assert c.response().status == (200 if n % 2 else 404)
