# SPDX-License-Identifier: Apache-2.0
"""Limits: how many uploads may be open, how long headers and bodies may be; headers of every answer."""

import json
import sqlite3
import threading

from lib import proc
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.manifests import encode, manifest
from lib.oidc import ALL, auth
from lib.tus import payload, upload_id
from test_auth import issuer, sign_in


def full(r):
    expect_error(r, 429, "ERR_TOO_MANY_UPLOADS")
    assert r.get("Retry-After") == "60" and r.get("Location") is None, r


def rows(s):
    con = sqlite3.connect(s.state_db, timeout=20)
    kept = [
        con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("uploads", "outbox")
    ]
    counted = con.execute("SELECT n FROM open_uploads WHERE owner=''").fetchone()[0]
    really = con.execute("SELECT count(*) FROM uploads WHERE status=0").fetchone()[0]
    con.close()
    assert counted == really, (counted, really)
    return kept


def test_open_uploads_in_all(start):
    s = start(settings={"DEX_MAX_OPEN_UPLOADS": "3"})
    paths = [s.tus.new(5) for _ in range(3)]
    before = rows(s)
    for headers in ({}, {"Upload-Concat": "partial"}):
        full(s.tus.create(5, headers=headers))
    full(s.tus.create(5, body=b"12345"))
    full(s.tus.create(0))
    assert rows(s) == before, "something was stored"
    # The others go on, and each that ends makes room for one.
    expect(s.tus.patch(paths[0], 0, b"12345"), 204)
    paths.append(s.tus.new(5))
    full(s.tus.create(5))
    expect(s.tus.delete(paths[1]), 204)
    expect(s.tus.delete(paths[1]), 410)
    paths.append(s.tus.new(5))
    full(s.tus.create(5))
    # A new process and one that died count the same.
    s.kill_responders()
    s.await_service()
    full(s.tus.create(5))
    # Expired ones make room when they are swept.
    con = sqlite3.connect(s.state_db, timeout=20, isolation_level=None)
    con.execute("UPDATE uploads SET touched_at = 1 WHERE id = ?", (upload_id(paths[2]),))
    con.close()
    s.deliver_all()
    paths.append(s.tus.new(5))
    full(s.tus.create(5))
    rows(s)


def test_open_uploads_of_a_subject(start):
    i = issuer()
    s = start(
        settings=i.settings(DEX_MAX_OPEN_UPLOADS_PER_SUBJECT="2", DEX_MAX_OPEN_UPLOADS="3")
    )  # fmt: skip
    alice = sign_in(s, i.token("alice", "RS256"))
    bob = auth(i.token("bob", "ES256"))
    first, second = alice.new(5), alice.new(5)
    full(alice.create(5))
    full(alice.create(5, headers=auth(i.token("alice"))))  # another kind of token, same subject
    expect(s.tus.create(5, headers=bob), 201)
    full(s.tus.create(5, headers=bob))  # of all
    expect(alice.patch(first, 0, b"12345"), 204)
    expect(alice.delete(second, auth(i.token("carol", "RS256", f"{ALL} dex:admin"))), 204)
    alice.new(5)
    alice.new(5)
    full(alice.create(5))


def test_the_limit_holds_when_many_come_at_once(start):
    s = start(responders=2, settings={"DEX_MAX_OPEN_UPLOADS": "10"})
    got = []

    def make():
        for _ in range(5):
            got.append(s.tus.create(5).status)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(set(got)) == [201, 429] and got.count(201) == 10, got
    rows(s)


def test_headers_and_bodies_are_bounded(start):
    s = start()
    uid = upload_id(s.tus.upload(payload(5)))
    pairs = encode({**manifest(), **{f"k{n}": "v" for n in range(64)}})
    for metadata in (pairs, encode(manifest(extra="x" * 7168)), "a" * 7169):
        expect_error(s.tus.create(5, metadata), 400, "ERR_INVALID_METADATA")
    parts = "final;" + " ".join(f"/files/{UNKNOWN_ID}" for _ in range(1001))
    r = s.tus.create(None, headers={"Upload-Concat": parts})
    assert r.status in (400, 404, 431), r
    # Longer than the web server lets pass
    r = s.tus.create(5, headers={"X-Long": "x" * 40000})
    assert r.status in (400, 431), r
    expect(s.get("/files/" + "a" * 5000), (404, 405, 414))

    def route(body):
        return s.request("POST", f"/route/{uid}", {"Content-Type": "application/json"}, body)

    at_most = json.dumps({"target": "nowhere"}).encode()
    expect(route(at_most + b" " * (65536 - len(at_most))), 400)
    r = expect(route(at_most + b" " * (65537 - len(at_most))), 413)
    deep = b'{"target":' + b"[" * 63 + b"]" * 63 + b"}"
    assert "nested" not in expect(route(deep), 400).text
    deep = b'{"target":' + b"[" * 64 + b"]" * 64 + b"}"
    assert "nested more than 64 levels deep" in expect(route(deep), 400).text
    expect(route(b"[" * 60000), 400)
    expect(s.get("/"), 200)


def test_one_request_brings_no_more_than_it_may(start):
    s = start(settings={"DEX_MAX_APPEND": "64KiB"})
    most, data = 65536, payload(150_000)
    limit = f"max-append-size={most}"

    def refused(r):
        expect_error(r, 413, "ERR_MAX_SIZE_EXCEEDED")
        assert "65536 bytes" in r.text and "smaller chunks" in r.text, r
        expect(r, 413, Upload_Limit=limit)

    expect(s.tus.options(), 204, Upload_Limit=limit)
    before = rows(s)
    refused(s.tus.create(len(data), body=data))
    assert rows(s) == before, "something was stored"
    r = expect(s.tus.create(len(data)), 201, Upload_Limit=limit)
    path = s.tus.path(r)
    # Refused before a byte is sent, and without taking the upload from whoever is at it.
    with s.tus.start_patch(path, 0, most) as c:
        c.send(data[:1000])
        proc.until(lambda: s.size(path) == 1000, "the first bytes are stored")
        with s.tus.start_patch(path, 0, most + 1) as big:
            refused(big.response("PATCH"))
        c.send(data[1000:most])
        expect(c.response("PATCH"), 204, Upload_Offset=most)
    refused(s.tus.patch(path, most, data[most:], chunked=True))
    assert s.tus.offset(path) == most
    expect(s.tus.patch(path, most, data[most : 2 * most], chunked=True), 204)
    expect(s.tus.patch(path, 2 * most, data[2 * most :]), 204)
    assert s.stored(path) == data
    s.tus.upload(data[:most])
    expect(start().tus.options(), 204, Upload_Limit=None)


SECURITY = {
    "X_Content_Type_Options": "nosniff",
    "Referrer_Policy": "no-referrer",
    "Cache_Control": "no-store",
    "Access_Control_Allow_Origin": "*",
    "Strict_Transport_Security": None,
}
POLICY = "default-src 'none'; frame-ancestors 'none'"


def test_security_headers(start):
    s = start(settings={"DEX_TRUSTED_PROXIES": "127.0.0.1"})
    path = s.tus.new(5)
    for r in (
        s.get("/"), s.get("/health"), s.get("/version"), s.get("/metrics"), s.get("/nothing"),
        s.get(f"/info/{upload_id(path)}"), s.get(f"/info/{UNKNOWN_ID}"), s.tus.create(-1),
        s.tus.request("PUT", path), s.request("GET", "/route/x"),
    ):  # fmt: skip
        expect(r, r.status, Content_Security_Policy=POLICY, **SECURITY)
    for r in (s.tus.head(path), s.tus.patch(path, 0, b"1"), s.tus.options(), s.tus.create(5)):
        expect(r, r.status, Content_Security_Policy=None, **SECURITY)
    over_tls = {"X-Forwarded-Proto": "https"}
    expect(s.get("/", over_tls), 200, Strict_Transport_Security="max-age=31536000")
    expect(s.tus.head(path, {"Forwarded": "proto=https"}), 200,
        Strict_Transport_Security="max-age=31536000")  # fmt: skip
    s = start()
    expect(s.get("/", over_tls), 200, Strict_Transport_Security=None)
