# SPDX-License-Identifier: Apache-2.0
"""The same scenario behind each web server, with the files of deploy/ as they are shipped but for ports and paths; then
what is different, held against the table of deploy/web-servers.md (write_differences.py)."""

import html
import json
import re
from urllib.parse import urlsplit

from lib import differences, http, installed, proc, servers
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.oidc import ALL, auth
from lib.tus import payload
from test_auth import issuer, sign_in

SERVERS = tuple(differences.SERVERS)
MIB = 1 << 20


def test_the_scenario(start):
    i = issuer()
    s = start(settings=i.settings(DEX_MAX_SIZE="2MiB"))
    expect(s.tus.create(10), 401)
    token = i.token("alice", "RS256")
    t = sign_in(s, token)
    data = payload(1_200_000)
    path = in_pieces(t, data)
    broken_and_resumed(s, t, data, token)
    refused(s, t, path, i)
    s.deliver_all()
    assert sorted(s.delivered("edav").values()) == [data, data]
    expect(t.delete(t.new(5)), 204)
    the_page(s)


def in_pieces(t, data):
    path = t.new(len(data))
    for at in range(0, len(data), 500_000):
        expect(t.patch(path, at, data[at : at + 500_000]), 204)
    expect(t.head(path), 200, Upload_Offset=len(data), Upload_Length=len(data))
    return path


def broken_and_resumed(s, t, data, token):
    path = t.new(len(data))
    with t.start_patch(path, 0, len(data), auth(token)) as c:
        c.send(data[:700_000])
        if "kept" in differences.documented(s.server)[differences.BROKEN]:
            proc.until(lambda: s.size(path) == 700_000, "what was sent is stored", 20)
    kept = t.offset(path)
    assert s.stored(path) == data[:kept]
    expect(t.patch(path, kept, data[kept:]), 204, Upload_Offset=len(data))
    assert s.stored(path) == data


def refused(s, t, path, i):
    expect_error(t.create(3 * MIB), 413, "ERR_MAX_SIZE_EXCEEDED")
    expect_error(t.patch(t.new(10), 0, b"x" * 11), 413, "ERR_MAX_SIZE_EXCEEDED")
    r = expect_error(t.patch(t.new(10), 3, b"x" * 7), 409, "ERR_MISMATCHED_OFFSET")
    assert r.get("Upload-Offset") == "0", r
    expect_error(t.patch(path, 0, b"x", auth(i.token("bob", "RS256", ALL))), 404)
    r = expect(t.head(path, {"Authorization": None}), 401)
    assert r.get("WWW-Authenticate", "").startswith("Bearer"), r


def the_page(s):
    installed.ui()
    addr, at = ("127.0.0.1", s.ui_port), s.ui_prefix
    for path, kind in (("/", "text/html"), ("/assets/ui.js", "javascript"), ("/assets/ui.css", "text/css")):
        r = expect(http.request(addr, "GET", at + path), 200)
        assert kind in r.get("Content-Type"), r
    expect(http.request(addr, "GET", f"{at}/assets/nothing.js"), 404)
    settings = re.search(r'data-settings="([^"]*)"', http.request(addr, "GET", f"{at}/").text)[1]
    for name in ("files", "info"):
        api = urlsplit(json.loads(html.unescape(settings))[name])
        assert api.netloc == f"127.0.0.1:{s.port}", api
        expect(http.request(s.addr, "OPTIONS", api.path + UNKNOWN_ID), 204)
    expect(s.get("/version"), 200)


def test_what_is_different(start, server):
    found = differences.column(start())
    assert found == differences.documented(server), f"make differences: {found}"


def test_the_table_has_all(server):
    assert list(differences.documented(server)) == list(differences.ROWS)
    assert servers.START.keys() == differences.SERVERS.keys()
