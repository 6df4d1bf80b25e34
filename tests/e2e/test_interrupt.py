# SPDX-License-Identifier: Apache-2.0
"""Broken, stalled, contested requests: what arrived stays, newcomers go on, refusals come early."""

import contextlib
import socket
import threading
import time

from lib import http, proc
from lib.check import expect, expect_error
from lib.manifests import encode, manifest
from lib.tus import OCT, payload

SERVERS = ("nginx", "apache", "cgi", "nginx+s3", "nginx+azure", "nginx+redis")
GIB = 1 << 30
# A silent PATCH would be waited for for 20 s, and then the answer be 423.
YIELDS = 8


def stalled_patch(stack, path, data, total):
    """A PATCH of which ${data} has been stored and whose client then says nothing."""
    c = stack.tus.start_patch(path, 0, total)
    c.send(data)
    proc.until(lambda: stack.holds(path, data), "what was sent is stored while the client waits", 5)
    return c


def test_fin_after_a_stall_keeps_every_byte(stack):
    data = payload(3000000)
    path = stack.tus.new(4000000)
    stalled_patch(stack, path, data, 4000000).close()
    assert stack.tus.offset(path) == len(data)
    rest = payload(1000000)
    expect(stack.tus.patch(path, len(data), rest), 204)
    assert stack.stored(path) == data + rest


def test_reset_after_a_stall_keeps_every_byte(stack):
    data = payload(300000)
    path = stack.tus.new(400000)
    stalled_patch(stack, path, data, 400000).reset()
    assert stack.tus.offset(path) == len(data)


def test_half_close_keeps_every_byte(stack):
    data = payload(100000)
    path = stack.tus.new(200000)
    c = stalled_patch(stack, path, data, 200000)
    c.fin()
    assert stack.tus.offset(path) == len(data)
    c.close()


def test_sending_and_closing_at_once_loses_nothing_that_was_acknowledged(stack):
    data = payload(3000000)
    for ending in ("close", "reset"):
        path = stack.tus.new(len(data) + 1)
        c = stack.tus.start_patch(path, 0, len(data) + 1)
        c.send(data)
        getattr(c, ending)()
        kept = stack.tus.offset(path)
        assert 0 <= kept <= len(data)
        stack.tus.finish(path, data + b"!")
        assert stack.stored(path) == data + b"!"


def test_a_chunked_body_that_breaks_off(stack):
    path = stack.tus.new(1000000)
    h = stack.tus.patch_headers(0, {"Transfer-Encoding": "chunked"})
    data = payload(200000)
    c = stack.tus.conn("PATCH", path, h)
    c.chunk(data)
    proc.until(lambda: stack.holds(path, data), "the chunk is stored", 5)
    c.close()
    assert stack.tus.offset(path) == len(data)
    assert stack.info(path)["upload_status"]["status"] == "In Progress"


def test_a_deferred_upload_is_not_complete_when_its_body_breaks_off(stack):
    path = stack.tus.new(headers={"Upload-Defer-Length": "1"})
    c = stack.tus.start_patch(path, 0, 1000, {"Upload-Length": "1000"})
    c.send(b"x" * 400)
    proc.until(lambda: stack.size(path) == 400, "bytes arrive", 5)
    c.close()
    assert stack.tus.offset(path) == 400
    assert stack.events(path) == []


def test_takeover_of_a_silent_patch(stack):
    data = payload(100000)
    path = stack.tus.new(200000)
    c = stalled_patch(stack, path, data, 200000)
    with proc.within(YIELDS, "HEAD"):
        r = stack.tus.head(path)
    expect(r, 200, Upload_Offset=len(data))
    expect(stack.tus.patch(path, len(data), b"y" * 100000), 204)
    c.close()
    assert stack.stored(path) == data + b"y" * 100000


def test_takeover_by_patch(stack):
    data = payload(100000)
    path = stack.tus.new(200000)
    c = stalled_patch(stack, path, data, 200000)
    with proc.within(YIELDS, "PATCH"):
        r = stack.tus.patch(path, len(data), b"y" * 100000)
    expect(r, 204, Upload_Offset=200000)
    c.close()


@contextlib.contextmanager
def patch_that_flows(stack, path, length):
    """A PATCH of ${length} bytes whose client goes on sending, slowly; some have arrived."""
    stop = threading.Event()
    arrivals = stack.arrivals(path)
    c = stack.tus.start_patch(path, 0, length)

    def dribble():
        try:
            while not stop.is_set():
                c.send(b"x" * 100)
                time.sleep(0.02)
        except OSError:
            pass

    th = threading.Thread(target=dribble)
    th.start()
    try:
        proc.until(lambda: arrivals() > 0, "bytes arrive", 5)
        yield
    finally:
        stop.set()
        th.join()
        c.close()


def test_takeover_of_a_busy_patch(stack):
    """The holder is not silent: its client keeps sending, slowly."""
    path = stack.tus.new(10**6)
    with patch_that_flows(stack, path, 10**6):
        with proc.within(YIELDS, "HEAD"):
            offset = stack.tus.offset(path)
        expect(stack.tus.patch(path, offset, b"y" * (10**6 - offset)), 204)
        assert stack.stored(path) == b"x" * offset + b"y" * (10**6 - offset)


def test_the_old_client_hears_that_it_was_interrupted(stack, server):
    if server != "nginx":
        return
    path = stack.tus.new(200000)
    c = stalled_patch(stack, path, payload(1000), 200000)
    stack.tus.head(path)
    r = c.response("PATCH")
    assert r.status in (409, 423, 503), f"a retryable answer: {r}"
    c.close()


def test_takeover_across_processes(start, server):
    if server != "nginx":
        return
    s = start(responders=3)
    for _ in range(8 if s.storage == "file" else 3):
        data = payload(50000)
        path = s.tus.new(100000)
        c = stalled_patch(s, path, data, 100000)
        with proc.within(YIELDS, "HEAD"):
            expect(s.tus.head(path), 200, Upload_Offset=len(data))
        c.close()


def test_423_when_the_lock_stays_busy(start, server):
    if server != "nginx":
        return
    s = start(settings={"DEX_LOCK_WAIT": "100ms"})
    path = s.tus.new(10**6)
    with patch_that_flows(s, path, 10**6):
        r = s.tus.head(path)
        assert r.status in (200, 423), r
    # Whatever was answered, the upload can go on.
    offset = proc.until(lambda: s.tus.head(path).get("Upload-Offset"), "the lock is free again", 5)
    assert int(offset) > 0


# mod_cgid hands the answer on only after it has passed the whole body to the program, and loses it
# when the program ends before that: a refusal cannot be early there, and a large body costs it.
BODY = {"nginx": GIB, "apache": GIB, "cgi": 32 << 20}


def early(stack, headers, status, path, method="PATCH"):
    """Send a large body until the refusal arrives; how much had been sent by then."""
    size = BODY[stack.server]
    with stack.tus.conn(
        method, path, {"Content-Length": str(size), "Content-Type": OCT, **headers}
    ) as c:
        c.timeout(20)
        block = b"\0" * 65536
        sent = 0
        began = time.monotonic()
        c.sock.setblocking(False)
        while sent < size:
            try:
                if c.sock.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            try:
                sent += c.sock.send(block[: size - sent])
            except BlockingIOError:
                time.sleep(0.001)
            except (BrokenPipeError, ConnectionResetError):
                break
            assert time.monotonic() - began < 30, f"no answer after {sent} bytes"
        c.sock.settimeout(20)
        r = c.response(method)
        assert r.status == status, r
        assert r.get("Tus-Resumable") == "1.0.0", r
        return sent


def test_early_refusals_of_a_large_body(stack, server):
    most = BODY["cgi"]
    path = stack.tus.new(2 * GIB)
    gone = f"{stack.tus.files}/00000000-0000-4000-8000-000000000000"
    for status, target, headers in (
        (409, path, {"Upload-Offset": "5"}),
        (413, stack.tus.new(10), {"Upload-Offset": "0"}),
        (412, path, {"Upload-Offset": "0", "Tus-Resumable": "0.2.2"}),
        (404, gone, {"Upload-Offset": "0"}),
        (415, path, {"Upload-Offset": "0", "Content-Type": "text/plain"}),
    ):
        sent = early(stack, headers, status, target)
        assert sent <= most, f"{sent} bytes were sent before the {status}"
    assert stack.tus.offset(path) == 0


def test_early_refusal_of_a_creation(start):
    s = start(settings={"DEX_MAX_SIZE": "1MiB"})
    h = {"Upload-Length": str(GIB), "Upload-Metadata": encode(manifest())}
    assert early(s, h, 413, s.tus.files, "POST") <= BODY["cgi"]


def test_races_at_one_offset(stack, server):
    """Eight clients send different bytes for the same offset: one of them wins, each time."""
    rounds = {"nginx": 200, "apache": 40, "cgi": 10}[server] if stack.storage == "file" else 20
    clients = 8
    size = 512
    path = stack.tus.new(rounds * size)
    written = []
    for n in range(rounds):
        at = n * size
        answers = [None] * clients
        gate = threading.Barrier(clients)

        def send(k, at=at, answers=answers, gate=gate):
            gate.wait()
            answers[k] = stack.tus.patch(path, at, bytes([65 + k]) * size)

        threads = [threading.Thread(target=send, args=(k,)) for k in range(clients)]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
        won = [k for k, r in enumerate(answers) if r.status == 204]
        assert len(won) == 1, f"round {n}: {[r.status for r in answers]}"
        for k, r in enumerate(answers):
            assert k in won or r.status in (409, 423), f"round {n}: {r}"
        written.append(bytes([65 + won[0]]) * size)
    assert stack.stored(path) == b"".join(written)
    assert len(stack.events(path)) == 1 and len(stack.reports(path, "upload-completed")) == 1


def test_a_hundred_stalled_uploads_do_not_stop_the_service(start, server):
    if server != "nginx":
        return
    s = start(settings={"DEX_THREADS": "128"})
    held = []
    for _ in range(100):
        c = s.tus.start_patch(s.tus.new(1000), 0, 1000)
        c.send(b"x" * 10)
        held.append(c)
    with proc.within(10, "others are served"):
        expect(s.get("/version"), 200)
        s.tus.upload(b"abc")
    for c in held:
        c.close()


def test_too_many_uploads_at_once(start, server):
    if server != "nginx":
        return
    s = start(settings={"DEX_THREADS": "4"})
    held, refused = [], None
    paths = [s.tus.new(1000) for _ in range(4 * s.groups + 2)]
    try:
        for path in paths:
            c = s.tus.start_patch(path, 0, 1000)
            c.send(b"x" * 10)
            held.append(c)
            c.timeout(1)
            try:
                refused = c.response("PATCH")
                break
            except TimeoutError:
                continue
        assert refused is not None, "nobody was refused, and nobody could be served any more"
        expect_error(refused, 503)
        assert refused.get("Retry-After"), refused
        expect(s.get("/health"), 200)
    finally:
        for c in held:
            c.close()


def test_garbage_does_not_end_the_service(stack):
    for bad in (
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"PATCH /files HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01" + b"x" * 50,
    ):
        with http.Conn(stack.addr, 5) as c:
            c.send(bad)
            c.fin()
            try:
                while c.sock.recv(65536):
                    pass
            except OSError:
                pass
    expect(stack.get("/version"), 200)
