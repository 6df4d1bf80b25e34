# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: who is let in where, whose uploads are whose, an issuer that rotates keys or is down."""

import base64
import json
import os
import sqlite3
import time

from lib import http, proc
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.manifests import encode, manifest
from lib.oidc import ALGS, ALL, Issuer, Missing, auth
from lib.runner import Skip
from lib.tus import OCT, payload, upload_id

_issuers = []


def issuer():
    """One for all scenarios that leave it as it is."""
    if not _issuers:
        _issuers.append(new_issuer())
    return _issuers[0]


def new_issuer():
    try:
        return Issuer()
    except Missing as e:
        raise Skip(str(e)) from None


def sign_in(stack, token):
    """The tus client of ${stack} sends ${token} with every request."""
    plain = type(stack.tus).request

    def request(method, path, headers=None, body=None, **kw):
        return plain(stack.tus, method, path, {**auth(token), **(headers or {})}, body, **kw)

    stack.tus.request = request
    return stack.tus


def forget(stack, prefix):
    """What the processes share under that name is over."""
    con = sqlite3.connect(stack.state_db, timeout=20, isolation_level=None)
    con.execute("DELETE FROM kv WHERE key LIKE ?", (prefix + "%",))
    con.close()


# -- the matrix: kind of token x end point

MISSING = "a bearer token is needed here"
ALGORITHM = "the token is not signed by an algorithm that is accepted"
EXTENSION = "the token insists on an extension that is not known here"
SIGNATURE = "the token is not signed by a key of the issuer"
MALFORMED = "the token is malformed"
NO_TOKEN = "this is no token"
TIME = "the token has a malformed time"
AUDIENCE = "the token is for another audience"
OTHER_ISSUER = "the token is of another issuer"
TYPE = "the token is no access token"
INACTIVE = "the token is not, or no longer, in force"


def good_tokens(i):
    for alg in ALGS:
        yield f"good {alg}", i.token("alice", alg), {"change", "read", "route"}
    yield "good opaque", i.token("alice"), {"change", "read", "route"}
    yield "signed by hand", i.sign(i.claims()), {"change", "read", "route"}
    yield "without typ", i.sign(i.claims(), header={"typ": None}), {"change", "read", "route"}
    yield "typ JWT", i.sign(i.claims(), header={"typ": "JWT"}), {"change", "read", "route"}
    yield "without kid", i.sign(i.claims(), header={"kid": None}), {"change", "read", "route"}
    yield "client only", i.sign(i.claims(sub=None)), {"change", "read", "route"}
    now = int(time.time())
    skew = i.claims(exp=now - 30, nbf=now + 30, iat=now + 30)
    yield "within the skew", i.sign(skew), {"change", "read", "route"}
    yield "scp list", i.sign(i.claims(scope=None, scp=ALL.split())), {"change", "read", "route"}
    yield "audience list", i.sign(i.claims(aud=["x", "urn:dex"])), {"change", "read", "route"}
    yield "upload scope", i.token("alice", "ES256", "dex:upload"), {"change"}
    yield "read scope", i.token("alice", "ES256", "dex:read"), {"read"}
    yield "route scope", i.token("alice", scope="dex:route"), {"route"}
    yield "no scope", i.sign(i.claims(scope=None)), set()
    yield "other scopes", i.sign(i.claims(scope="dex:uploads DEX:READ dex")), set()


def bad_headers():
    yield "no header", None, MISSING
    yield "empty header", "", MISSING
    yield "scheme alone", "Bearer", MISSING
    yield "Basic", "Basic YWxpY2U6YWxpY2Utc2VjcmV0", MISSING
    yield "token without scheme", "abc", MISSING
    yield "two words", "Bearer abc def", NO_TOKEN
    yield "no token characters", 'Bearer "abc"', NO_TOKEN
    yield "too long", "Bearer " + "a" * 8193, NO_TOKEN


def bad_tokens(i):
    now = int(time.time())
    good = i.sign(i.claims())
    head, claims, sig = good.split(".")
    other = i.sign(i.claims(sub="bob")).split(".")
    for name, changed in (
        ("expired", {"exp": now - 61}),
        ("exp 0", {"exp": 0}),
    ):
        yield name, i.sign(i.claims(**changed)), "the token has expired"
    yield "no exp", i.sign(i.claims(exp=None)), "the token has no end of life"
    yield "exp text", i.sign(i.claims(exp=str(now + 600))), TIME
    yield "exp huge", i.sign(i.claims(exp=10**18)), TIME
    yield "not yet", i.sign(i.claims(nbf=now + 120)), "the token is not valid yet"
    yield "of the future", i.sign(i.claims(iat=now + 120)), "the token was issued in the future"
    yield "other issuer", i.sign(i.claims(iss="https://login.example.org")), OTHER_ISSUER
    yield "issuer with slash", i.sign(i.claims(iss=i.url + "/")), OTHER_ISSUER
    yield "no issuer", i.sign(i.claims(iss=None)), OTHER_ISSUER
    yield "other audience", i.sign(i.claims(aud="urn:other")), AUDIENCE
    yield "no audience", i.sign(i.claims(aud=None)), AUDIENCE
    yield "nobody", i.sign(i.claims(sub=None, client_id=None)), (
        "the token names neither subject nor client"
    )
    yield "alg none", i.sign(i.claims(), key="none", header={"alg": "none"}), ALGORITHM
    yield "alg none, signed", i.sign(i.claims(), header={"alg": "none"}), ALGORITHM
    yield "HS256 with the RSA key", i.sign(i.claims(), key="hmac", header={"alg": "HS256"}), (
        ALGORITHM
    )
    yield "RS256 said, hashed", i.sign(i.claims(), key="hmac", header={"kid": "k-RS256-0"}), (
        SIGNATURE
    )
    yield "foreign key", i.sign(i.claims(), key="foreign", header={"kid": "k-RS256-0"}), SIGNATURE
    yield "unknown kid", i.sign(i.claims(), header={"kid": "nobody's"}), SIGNATURE
    yield "key of another alg", i.sign(i.claims(), header={"alg": "PS256"}), SIGNATURE
    yield "ES384 as ES256", i.sign(i.claims(), "ES384", header={"alg": "ES256"}), SIGNATURE
    yield "claims of another token", f"{head}.{other[1]}.{sig}", SIGNATURE
    yield "signature of another", f"{head}.{claims}.{other[2]}", SIGNATURE
    yield "zero ES256", ".".join(i.sign(i.claims(), "ES256").split(".")[:2]) + "." + "A" * 86, (
        SIGNATURE
    )
    yield "no signature", f"{head}.{claims}.", SIGNATURE
    yield "padded", f"{good}==", MALFORMED
    yield "crit", i.sign(i.claims(), header={"crit": ["x"], "x": 1}), EXTENSION
    yield "b64 false", i.sign(i.claims(), header={"b64": False, "crit": ["b64"]}), EXTENSION
    yield "alg twice", i.sign(i.claims(), header='{"alg":"RS256","alg":"RS256"}'), MALFORMED
    twice = json.dumps(i.claims())[:-1] + ',"sub":"bob"}'
    yield "sub twice", i.sign(twice), MALFORMED
    yield "typ of something else", i.sign(i.claims(), header={"typ": "logout+jwt"}), TYPE
    yield "junk with dots", "a.b.c", MALFORMED
    yield "dots", "..", MALFORMED
    yield "unknown opaque", "nobodys-token", INACTIVE
    revoked = i.token("alice")
    i.revoke("alice", revoked)
    yield "revoked opaque", revoked, INACTIVE


def end_points(s, path):
    """name -> (need, method, path, headers, status for who may)"""
    uid = upload_id(path)
    create = {
        "Upload-Length": "5", "Upload-Metadata": encode(manifest()), "Content-Length": "0",
    }  # fmt: skip
    empty = {"Content-Type": OCT, "Upload-Offset": "0", "Content-Length": "0"}
    route = {"Content-Type": "application/json", "Content-Length": "17"}
    return {
        "create": ("change", "POST", "/files", create, 201),
        "create with slash": ("change", "POST", "/files/", create, 201),
        "head": ("read", "HEAD", path, {}, 200),
        "patch": ("change", "PATCH", path, empty, 204),
        "override": ("change", "POST", path, {**empty, "X-HTTP-Method-Override": "PATCH"}, 204),
        "delete": ("change", "DELETE", None, {}, 204),
        "info": ("read", "GET", f"/info/{uid}", {}, 200),
        "head of info": ("read", "HEAD", f"/info/{uid}", {}, 200),
        "route": ("route", "POST", f"/route/{uid}", route, 409),
        "other method": ("read", "GET", path, {}, 405),
        "no id": ("read", "HEAD", "/files/nothing", {}, 404),
        "unknown id": ("read", "GET", f"/info/{UNKNOWN_ID}", {}, 404),
    }


def ask(s, header, method, path, headers):
    h = {"Tus-Resumable": "1.0.0", "Origin": "https://page.example", "Authorization": header}
    h.update(headers)
    body = b'{"target":"edav"}' if path.startswith("/route/") else None
    return http.request(s.addr, method, path, h, body)


def check_answer(r, case, method, path, status, challenge, body):
    assert r.status == status, f"{case}: {r}"
    assert r.get("WWW-Authenticate") == challenge, f"{case}: {r}"
    assert r.get("Access-Control-Allow-Origin") == "*", f"{case}: {r}"
    assert "WWW-Authenticate" in r.tokens("Access-Control-Expose-Headers"), f"{case}: {r}"
    assert r.get("Cache-Control") == "no-store", f"{case}: {r}"
    assert r.get("Tus-Resumable") == ("1.0.0" if "/files" in path else None), f"{case}: {r}"
    if body is not None:
        assert r.get("Content-Type") == "text/plain; charset=utf-8", f"{case}: {r}"
        assert r.text == ("" if method == "HEAD" else body), f"{case}: {r}"


def rows(s, sql="SELECT count(*) FROM uploads"):
    con = sqlite3.connect(s.state_db, timeout=20)
    value = con.execute(sql).fetchone()[0]
    con.close()
    return value


def test_matrix(start):
    i = issuer()
    s = start(settings=i.settings())
    tus = sign_in(s, i.token("alice", "RS256"))
    path = tus.new(5)
    cases = 0

    refused = [(n, h, t) for n, h, t in bad_headers()]
    refused += [(n, f"Bearer {token}", t) for n, token, t in bad_tokens(i)]
    for name, header, text in refused:
        code = "ERR_UNAUTHORIZED" if text == MISSING else "ERR_INVALID_TOKEN"
        challenge = "Bearer" if text == MISSING else 'Bearer error="invalid_token"'
        for point, (_, method, at, headers, _) in end_points(s, path).items():
            r = ask(s, header, method, at or path, headers)
            case = f"{name}, {point}"
            check_answer(r, case, method, at or path, 401, challenge, f"{code}: {text}\n")
            cases += 1
    assert rows(s) == 1, "nothing was created"
    assert tus.offset(path) == 0

    lacks = "ERR_INSUFFICIENT_SCOPE: the token lacks a scope that is needed here\n"
    for name, token, may in good_tokens(i):
        for point, (need, method, at, headers, status) in end_points(s, path).items():
            target = at or (tus.new(5) if need in may else path)
            r = ask(s, f"Bearer {token}", method, target, headers)
            case = f"{name}, {point}"
            if need in may:
                check_answer(r, case, method, target, status, None, None)
            else:
                challenge = 'Bearer error="insufficient_scope"'
                check_answer(r, case, method, target, 403, challenge, lacks)
            cases += 1
    assert cases >= 300, f"only {cases} cases"
    for name, token, _ in good_tokens(i):
        assert token.rsplit(".", 1)[-1] not in s.logs(), f"{name}: the token is in a log"


def test_options_and_public_pages_need_none(start):
    i = issuer()
    s = start(settings=i.settings())
    for path in ("/files", "/files/", f"/files/{UNKNOWN_ID}", f"/info/{UNKNOWN_ID}"):
        for header in (None, "Bearer junk", "Basic x"):
            h = {
                "Authorization": header, "Origin": "https://page.example",
                "Access-Control-Request-Method": "PATCH",
            }  # fmt: skip
            r = expect(s.request("OPTIONS", path, h), 204, WWW_Authenticate=None)
            assert "Authorization" in r.tokens("Access-Control-Allow-Headers"), r
    for path in ("/", "/version", "/metrics", "/health"):
        expect(s.get(path), 200)
        expect(s.get(path, {"Authorization": "Bearer junk"}), 200)
    expect(s.get("/nothing"), 404)


def test_token_before_version_and_body(start):
    i = issuer()
    s = start(settings=i.settings())
    old = {"Tus-Resumable": "0.2.2", "Upload-Length": "1", "Content-Length": "0"}
    expect_error(s.request("POST", "/files", old), 401, "ERR_UNAUTHORIZED")
    token = i.token("alice", "ES256")
    r = s.request("POST", "/files", {**old, **auth(token)})
    expect(expect_error(r, 412, "ERR_UNSUPPORTED_VERSION"), 412, Tus_Version="1.0.0")
    # The answer does not wait for a body that nobody will read.
    for h in ({}, auth("a.b.c"), auth(i.token("alice", "ES256", "dex:read"))):
        with s.tus.start_patch(f"/files/{UNKNOWN_ID}", 0, 1 << 30, h) as c:
            c.timeout(5)
            assert c.response("PATCH").status in (401, 403)


# -- whose uploads are whose


def without_date(r):
    return (r.status, sorted((k, v) for k, v in r.headers if k != "Date"), r.body)


def test_uploads_of_others_do_not_exist(start):
    i = issuer()
    s = start(settings=i.settings())
    alice = sign_in(s, i.token("alice", "RS256"))
    path = alice.new(5)
    gone = alice.new(5)
    expect(alice.delete(gone), 204)
    finished = alice.upload(payload(7))
    strangers = [i.token("bob", "ES256"), i.token("bob"), i.token("carol", "EdDSA")]
    for token in strangers:
        for known in (path, gone, finished):
            for point in ("head", "patch", "override", "delete", "info", "head of info", "route"):
                _, method, at, headers, _ = end_points(s, known)[point]
                unknown = end_points(s, f"/files/{UNKNOWN_ID}")[point][2]
                foreign = ask(s, f"Bearer {token}", method, at or known, headers)
                nothing = ask(
                    s, f"Bearer {token}", method, unknown or f"/files/{UNKNOWN_ID}", headers
                )
                assert foreign.status == 404, (point, foreign)
                assert without_date(foreign) == without_date(nothing), (point, foreign, nothing)
    assert alice.offset(path) == 0 and alice.offset(finished) == 7
    expect(alice.head(gone), 410)
    # The owner with another kind of token is the same owner.
    expect(s.tus.head(path, auth(i.token("alice"))), 200)


def test_administrators_see_all(start):
    i = issuer()
    s = start(settings=i.settings())
    alice = sign_in(s, i.token("alice", "RS256"))
    root = auth(i.token("carol", "RS256", f"{ALL} dex:admin"))
    path = alice.new(5)
    expect(s.tus.head(path, root), 200)
    expect(s.get(f"/info/{upload_id(path)}", root), 200)
    expect(s.tus.patch(path, 0, b"12345", root), 204)
    # The scope of an administrator does not stand for the others.
    only = auth(i.token("carol", "RS256", "dex:admin"))
    expect(s.tus.head(path, only), 403)
    expect(s.tus.delete(alice.new(5), root), 204)
    expect(s.get(f"/info/{UNKNOWN_ID}", root), 404)


def test_a_stranger_does_not_interrupt(start):
    i = issuer()
    s = start(settings=i.settings())
    alice = sign_in(s, i.token("alice", "RS256"))
    path = alice.new(100)
    with s.tus.start_patch(path, 0, 100, auth(i.token("alice", "RS256"))) as c:
        c.send(b"x" * 50)
        proc.until(lambda: len(s.stored(path)) == 50, "half of it is stored")
        bob = auth(i.token("bob", "RS256"))
        for method in ("HEAD", "PATCH", "DELETE"):
            headers = {**bob, "Content-Type": OCT, "Upload-Offset": "0", "Content-Length": "0"}
            expect(s.tus.request(method, path, headers), 404)
        c.send(b"y" * 50)
        expect(c.response("PATCH"), 204, Upload_Offset=100)


def test_parts_of_others_do_not_exist(start):
    i = issuer()
    s = start(settings=i.settings())
    alice = sign_in(s, i.token("alice", "RS256"))
    own, other = alice.partial(b"own"), None
    bob = auth(i.token("bob", "RS256"))
    root = auth(i.token("carol", "RS256", f"{ALL} dex:admin"))
    r = s.tus.create(3, None, {**bob, "Upload-Concat": "partial"}, b"bob")
    other = s.tus.path(expect(r, 201))
    unfinished = s.tus.path(s.tus.create(3, None, {**bob, "Upload-Concat": "partial"}))

    def join(parts, who):
        return s.tus.create(None, headers={**who, "Upload-Concat": "final;" + " ".join(parts)})

    me = auth(i.token("alice", "RS256"))
    texts = set()
    for part in (other, unfinished, f"/files/{UNKNOWN_ID}"):
        r = join([own, part], me)
        expect_error(r, 404, "ERR_UPLOAD_NOT_FOUND")
        texts.add(r.text.replace(upload_id(part), "ID"))
    assert len(texts) == 1, texts
    assert alice.offset(alice.path(expect(join([own, own], me), 201))) == 6
    r = expect(join([own, other], root), 201)
    expect(s.tus.head(s.tus.path(r)), 404)  # the administrator's now
    assert s.stored(s.tus.path(r)) == b"ownbob"


def test_uploads_made_without_tokens_are_for_administrators(start):
    i = issuer()
    s = start(settings=i.settings(OAUTH_AUTH_ENABLED="false"))
    path = s.tus.new(5)
    expect(s.tus.head(path, auth("junk")), 200)
    s.stop_responders()
    s.start_responders(OAUTH_AUTH_ENABLED="true")
    s.await_service()
    expect(s.tus.head(path), 401)
    expect(s.tus.head(path, auth(i.token("alice", "RS256"))), 404)
    root = auth(i.token("carol", "RS256", f"{ALL} dex:admin"))
    expect(s.tus.head(path, root), 200)


# -- the issuer


def test_keys_are_fetched_once_and_rotation_is_noticed(start):
    i = new_issuer()
    s = start(settings=i.settings(), responders=2)
    old = auth(i.sign(i.claims()))
    for _ in range(20):
        expect(s.tus.head(f"/files/{UNKNOWN_ID}", old), 404)
    assert i.counts()["/jwks"] == 1, i.counts()
    i.rotate()
    new = auth(i.token("alice", "ES256"))
    expect(s.tus.head(f"/files/{UNKNOWN_ID}", new), 401)
    for n in range(50):
        junk = auth(i.sign(i.claims(), header={"kid": f"kid-{n}"}))
        expect(s.tus.head(f"/files/{UNKNOWN_ID}", junk), 401)
    assert i.counts()["/jwks"] == 1, i.counts()
    forget(s, "oauth/fetch/")  # a minute later
    expect(s.tus.head(f"/files/{UNKNOWN_ID}", new), 404)
    assert i.counts()["/jwks"] == 2, i.counts()
    # A process that has not looked for a few seconds follows.
    proc.until(
        lambda: all(s.tus.head(f"/files/{UNKNOWN_ID}", old).status == 401 for _ in range(8)),
        "no process takes the old key any more", 15, 0.2,
    )  # fmt: skip
    i.close()


def test_made_up_kids_make_nobody_fetch(start):
    """DEX_TEST_KIDS: how many (300; 10,000 takes minutes)."""
    i = new_issuer()
    s = start(settings=i.settings(), responders=2)
    expect(s.tus.head(f"/files/{UNKNOWN_ID}", auth(i.token("alice", "ES256"))), 404)
    _, claims, sig = i.sign(i.claims(exp=int(time.time()) + 36000)).split(".")
    statuses = {}
    for n in range(int(os.environ.get("DEX_TEST_KIDS", "300"))):
        header = json.dumps({"alg": "RS256", "typ": "at+jwt", "kid": f"{os.urandom(8).hex()}-{n}"})
        head = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
        r = s.tus.head(f"/files/{UNKNOWN_ID}", auth(f"{head}.{claims}.{sig}"))
        statuses[r.status] = statuses.get(r.status, 0) + 1
    assert set(statuses) == {401}, statuses
    assert i.counts()["/jwks"] <= 2, i.counts()
    i.close()


def test_an_issuer_that_is_down(start):
    i = new_issuer()
    s = start(settings=i.settings())
    jwt, opaque = i.token("alice", "RS256"), i.token("alice")
    unknown = auth(i.sign(i.claims(), header={"kid": "nobody's"}))
    alice = sign_in(s, jwt)
    path = alice.new(5)
    expect(s.tus.head(path, auth(opaque)), 200)
    i.stop()
    expect(alice.patch(path, 0, b"12"), 204)
    expect(s.tus.head(path, auth(opaque)), 200)  # remembered for a minute
    # New processes find the keys in the state store.
    s.stop_responders()
    s.start_responders()
    s.await_service()
    expect(alice.patch(path, 2, b"345"), 204)
    forget(s, "oauth/fetch/")
    expect(s.tus.head(path, unknown), 503, Retry_After="5", WWW_Authenticate=None)
    expect(s.tus.head(path, auth("another-opaque-token")), 503, Retry_After="5")
    # Nothing at hand
    forget(s, "oauth/")
    s.stop_responders()
    s.start_responders()
    s.await_service()
    r = s.tus.patch(path, 5, b"", {})
    expect_error(r, 503, "ERR_SERVICE_UNAVAILABLE")
    assert r.get("Retry-After") == "5", r
    i.start()
    forget(s, "oauth/fetch/")
    # Its keys are new ones: the old token has had its day.
    expect(alice.head(path), 401)
    expect(s.tus.head(path, auth(i.token("alice", "PS256"))), 200)
    i.close()


def test_health_tells_outsiders_little(start):
    i = new_issuer()
    s = start(settings=i.settings())
    me = auth(i.token("alice", "RS256"))
    body = json.loads(expect(s.get("/health"), 200).body)
    assert body["status"] == "UP", body
    assert "OAuth issuer" in [x["service"] for x in body["services"]], body
    expect(s.get("/health", me), 200)
    i.stop()

    def down():
        body = json.loads(expect(s.get("/health"), 200).body)
        return [x for x in body["services"] if x["status"] == "DOWN"]

    found = proc.until(down, "/health notices within the time of its cache", 20, 0.2)
    assert found == [
        {
            "service": "OAuth issuer", "status": "DOWN",
            "health_issue": "shown to callers with a token",
        }
    ], found  # fmt: skip
    body = json.loads(expect(s.get("/health", me), 200).body)
    found = [x for x in body["services"] if x["status"] == "DOWN"]
    assert found[0]["health_issue"] == "unavailable", found
    assert body["status"] == "DEGRADED"
    i.close()


# -- other web servers


def through(start, server):
    i = issuer()
    s = start(server=server, settings=i.settings())
    expect(s.tus.create(5), 401, WWW_Authenticate="Bearer")
    # A refusal arrives although nobody has taken the body.
    data = payload(300_000)
    r = s.tus.create(len(data), body=data)
    expect_error(r, 401, "ERR_UNAUTHORIZED")
    # Asks the issuer for its keys: not through a proxy of the client's choice (httpoxy).
    proxy = {"Proxy": "http://127.0.0.1:1", **auth(i.token("alice", "ES256"))}
    expect(s.tus.head(f"/files/{UNKNOWN_ID}", proxy), 404)
    bad = i.sign(i.claims(), key="foreign", header={"kid": "k-RS256-0"})
    r = s.tus.create(len(data), body=data, headers=auth(bad))
    expect(r, 401, WWW_Authenticate='Bearer error="invalid_token"')
    for token in (i.token("alice", "ES256"), i.token("alice")):
        alice = sign_in(s, token)
        path = alice.upload(data, chunk=100_000)
        assert s.stored(path) == data
        r = s.get(f"/info/{upload_id(path)}", auth(token))
        assert json.loads(expect(r, 200).body)["upload_status"]["status"] == "Complete"
        expect(s.tus.head(path, auth(i.token("bob", "ES256"))), 404)


def test_through_apache(start):
    through(start, "apache")


def test_through_cgi(start):
    before = issuer().counts().get("/jwks", 0)
    through(start, "cgi")
    assert issuer().counts()["/jwks"] == before + 1, "CGI programs share the keys"


# -- settings


def test_settings_that_do_not_fit(start):
    i = issuer()
    s = start(settings=i.settings())
    for settings, name in (
        ({"OAUTH_ISSUER_URL": None, "OAUTH_INTROSPECTION_URL": None}, "OAUTH_AUTH_ENABLED"),
        ({"OAUTH_ISSUER_URL": "http://login.example.org"}, "OAUTH_ISSUER_URL"),
        ({"OAUTH_INTROSPECTION_URL": "http://10.1.2.3/"}, "OAUTH_INTROSPECTION_URL"),
        ({"OAUTH_INTROSPECTION_CLIENT_SECRET": None}, "OAUTH_INTROSPECTION_CLIENT_ID"),
        ({"OAUTH_READ_SCOPES": 'a"b'}, "OAUTH_READ_SCOPES"),
    ):
        r = s.check("--check-config", **settings)
        assert r.returncode != 0 and f"{name}: expected" in r.stdout + r.stderr, (settings, r)
        assert "dex-secret" not in r.stdout + r.stderr
    r = s.check("--check-config")
    assert r.returncode == 0 and "OAUTH_INTROSPECTION_CLIENT_SECRET=****" in r.stdout, r
