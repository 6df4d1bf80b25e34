# SPDX-License-Identifier: Apache-2.0
"""Login of the upload page at a real OpenID Connect issuer, its session, and who may not use it."""

import base64
import hashlib
import json
import re
import sqlite3
import time
from urllib.parse import urlencode

from lib import browser, installed, login, proc
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.login import KEY, Browser, CgiBrowser, query_of
from lib.manifests import encode, manifest
from lib.oidc import auth
from lib.tus import OCT

_issuers = []


def issuer():
    if not _issuers:
        _issuers.append(login.issuer())
    return _issuers[0]


def begin(start, client="dex-web", resource="alg=ES256", stack=None, **more):
    i = issuer()
    s = start(settings=login.settings(i, client, resource, **more), **(stack or {}))
    i.allow(s.ui_url())
    return s, Browser(f"http://127.0.0.1:{s.ui_port}", s.ui_prefix)


def create(b, s, headers=None):
    h = {"Upload-Length": "5", "Upload-Metadata": encode(manifest()), "Content-Length": "0"}
    return b.api(s, "POST", "/files/", {**h, **(headers or {})})


def rows(s, prefix="session/"):
    con = sqlite3.connect(s.state_db, timeout=20)
    found = con.execute("SELECT key, value FROM kv WHERE key LIKE ?", (prefix + "%",)).fetchall()
    con.close()
    return found


def fails(r, status, text):
    expect(r, status)
    assert text in r.text, r.text
    assert r.get("Location") is None, r
    assert not [c for c in r.all("Set-Cookie") if "dex_session=" in c], r


LOST = "This login was not begun in this browser"
REFUSED = "The login service did not let you in"


# -- the way in


def way_in(start, client, stack=None):
    s, b = begin(start, client, stack=stack)
    r = expect(b.get("/"), 200)
    assert f'<a href="{s.ui_prefix}/login?to=%2F">Log in</a>' in r.text
    expect_error(create(b, s), 401, "ERR_UNAUTHORIZED")

    url = b.to_issuer("/manifest?data_stream_id=dextesting&data_stream_route=testevent1")
    q = query_of(url)
    assert q["response_type"] == "code" and q["client_id"] == client, q
    assert q["redirect_uri"] == s.ui_url("/oauth_callback"), q
    assert q["scope"].split() == ["openid", "profile", "dex:upload", "dex:read"], q
    assert q["code_challenge_method"] == "S256" and len(q["code_challenge"]) == 43, q
    assert len(q["state"]) == 43 and len(q["nonce"]) == 43 and q["state"] != q["nonce"], q
    back = b.at_issuer(url)
    assert query_of(back)["iss"] == issuer().url
    r = expect(b.get(back), 303)
    query = "data_stream_id=dextesting&data_stream_route=testevent1"
    assert r.get("Location") == f"{s.ui_prefix}/manifest?{query}", r
    cookie = next(c for c in r.all("Set-Cookie") if "dex_session=" in c)
    assert re.fullmatch(r"dex_session=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie), cookie
    assert "access_token" not in str(r.headers) and "ey" + "J" not in str(r.headers)

    r = expect(b.get("/"), 200)
    assert "Logged in as <strong>alice of the tests</strong>" in r.text, r.text
    r = expect(create(b, s), 201)
    assert r.get("Access-Control-Allow-Origin") == b.page, r
    assert r.get("Access-Control-Allow-Credentials") == "true", r
    assert "Origin" in r.get("Vary"), r
    path = "/files/" + r.get("Location").rsplit("/", 1)[1]
    chunk = {"Content-Type": OCT, "Upload-Offset": "0", "Content-Length": "5"}
    expect(b.api(s, "PATCH", path, chunk, b"12345"), 204)
    info = json.loads(expect(b.api(s, "GET", path.replace("files", "info")), 200).body)
    assert info["upload_status"]["status"] == "Complete", info
    # It is hers, also with a token of her own, and nobody else's.
    other = Browser(b.page, b.prefix)
    expect(other.log_in("bob"), 303)
    expect(other.api(s, "GET", path.replace("files", "info")), 404)
    now = int(time.time())
    hers = issuer().sign(issuer().claims(sub="alice", iat=now, exp=now + 60), "ES256")
    expect(s.tus.head(s.prefix + path, auth(hers)), 200)
    return s, b


def test_a_client_with_a_secret(start):
    way_in(start, "dex-web")


def test_a_public_client(start):
    way_in(start, "dex-public")


def test_through_apache(start):
    way_in(start, "dex-web", {"server": "apache"})


def test_as_on_shared_hosting(start):
    """Page and API are CGI programs of Apache, below one address."""
    s, b = way_in(start, "dex-public", {"server": "cgi"})
    # A browser names no origin where it asks the page's own host.
    for site, status in (("same-origin", 404), ("cross-site", 401), (None, 401)):
        expect(b.ask("GET", s.url(f"/info/{UNKNOWN_ID}"), {"Sec-Fetch-Site": site}), status)
    expect(b.log_out(), 200)
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 401)


def test_with_state_in_redis(start):
    s, b = way_in(start, "dex-web", {"state": "redis", "responders": 2})
    expect(b.log_out(), 200)
    expect(create(b, s), 401)


def test_as_a_cgi_program(start):
    s, b = begin(start)
    asked = issuer().counts()
    cgi = CgiBrowser(s)
    expect(cgi.get("/"), 200)
    r = expect(cgi.log_in(to="/status/" + UNKNOWN_ID), 303)
    assert r.get("Location") == "/status/" + UNKNOWN_ID
    assert "Logged in as <strong>alice of the tests" in expect(cgi.get("/"), 200).text
    r = expect(create(cgi, s), 201)
    assert r.get("Access-Control-Allow-Credentials") == "true", r
    path = "/files/" + r.get("Location").rsplit("/", 1)[1]
    # The session is that of the other responders, too.
    b.cookies = dict(cgi.cookies)
    expect(b.api(s, "HEAD", path), 200)
    expect(cgi.log_in(), 303)
    expect(b.api(s, "HEAD", path), 401)  # logged in anew, the earlier session is over
    expect(cgi.api(s, "HEAD", path), 200)
    expect(cgi.log_out(), 200)
    expect(cgi.api(s, "HEAD", path), 401)
    now = issuer().counts()
    discovery = "/.well-known/openid-configuration"
    assert now[discovery] - asked.get(discovery, 0) <= 2, "CGI programs share what they learn"


def test_a_form_without_script(start):
    s, b = begin(start)
    query = urlencode({"data_stream_id": "dextesting", "data_stream_route": "testevent1"})
    expect(b.log_in(), 303)
    fields = {"csrf_token": b.form(f"/manifest?{query}"), **manifest()}
    r = b.ask(
        "POST", "/upload", {"Content-Type": login.FORM, "Sec-Fetch-Site": "cross-site"},
        urlencode(fields).encode(),
    )  # fmt: skip
    expect(r, 401)
    assert "Please log in" in r.text
    r = expect(b.post("/upload", fields), 303)
    uid = r.get("Location").split("/")[-1]
    expect(b.api(s, "GET", f"/info/{uid}"), 200)


def test_what_lies_in_the_state_tells_nothing(start):
    s, b = begin(start)
    expect(b.log_in(), 303)
    ((key, value),) = rows(s)
    assert key == "session/" + hashlib.sha256(b.session().encode()).hexdigest()
    for secret in (b.session().encode(), b"alice", b"eyJ", b"access_token"):
        assert secret not in value and secret not in key.encode(), (secret, key)


def test_responders_share_sessions(start):
    s, b = begin(start, stack={"responders": 2, "groups": 2})
    expect(b.log_in(), 303)
    for _ in range(12):
        expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
    s.stop_responders()
    s.start_responders()
    s.await_service()
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
    expect(b.log_out(), 200)
    for _ in range(12):
        expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 401)


# -- ways in that lead nowhere


def test_nobody_is_sent_elsewhere(start):
    _, b = begin(start)
    for to in (
        "//evil.example.org", "https://evil.example.org/", "/\\evil.example.org", "\\/evil",
        "/\t/evil.example.org", "/\n//evil", "", "x", "javascript:alert(1)", "/" + "x" * 600,
        "/%0d%0aSet-Cookie:x=1\r\nX: y", "/ü",
    ):  # fmt: skip
        r = expect(b.log_in(to=to), 303)
        assert r.get("Location") == "/", (to, r)
    r = expect(b.log_in(to="/status/" + UNKNOWN_ID + "?x=%2F%2Fevil"), 303)
    assert r.get("Location") == "/status/" + UNKNOWN_ID + "?x=%2F%2Fevil"


def test_a_cancelled_login(start):
    s, b = begin(start)
    back = b.at_issuer(b.to_issuer("/status/" + UNKNOWN_ID), {"cancel": ""})
    assert query_of(back)["error"] == "access_denied", back
    r = b.get(back)
    fails(r, 403, "The login was cancelled.")
    assert f'href="/login?to=%2Fstatus%2F{UNKNOWN_ID}">Try again</a>' in r.text, r.text
    assert rows(s) == []
    state = query_of(back)["state"]
    assert not [n for n, _ in b.cookies if state in n], b.cookies


def test_errors_of_the_issuer_are_no_markup(start):
    _, b = begin(start)
    for error, status, told in (
        ("<script>alert(1)</script>", 403, None),
        ("a" * 5000, 403, None),
        ("invalid_scope", 403, "invalid_scope"),
        ("temporarily_unavailable", 503, "temporarily_unavailable"),
    ):
        state = query_of(b.to_issuer())["state"]
        r = b.get("/oauth_callback?" + urlencode({"state": state, "error": error}))
        expect(r, status)
        assert "<script>alert" not in r.text and "aaaaaaaa" not in r.text, r.text
        assert (f"<code>{told}</code>" in r.text) == (told is not None), r.text


def test_a_callback_that_was_changed(start):
    s, b = begin(start)
    asked = issuer().counts().get("/token", 0)
    back = b.at_issuer(b.to_issuer())
    q = query_of(back)

    def callback(cookies=None, **changes):
        query = {k: v for k, v in {**q, **changes}.items() if v is not None}
        other = Browser(b.page)
        other.cookies = dict(b.cookies) if cookies is None else cookies
        return other.get("/oauth_callback?" + urlencode(query))

    ((key, sealed),) = [(k, v) for k, v in b.cookies.items() if k[0].startswith("dex_login_")]
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=="))
    raw[len(raw) // 2] ^= 1
    flipped = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    other = query_of(b.to_issuer())["state"]
    of_other = b.cookies[f"dex_login_{other}", "/oauth_callback"]
    fails(callback(state=None), 400, LOST)
    fails(callback(state=""), 400, LOST)
    fails(callback(state="x" * 43), 400, LOST)
    fails(callback(state=q["state"][:-1]), 400, LOST)
    fails(callback(state=q["state"][::-1]), 400, LOST)
    fails(callback(cookies={}), 400, LOST)
    fails(callback(cookies={key: ""}), 400, LOST)
    fails(callback(cookies={key: sealed[:-1]}), 400, LOST)
    fails(callback(cookies={key: flipped}), 400, LOST)
    fails(callback(cookies={key: "A" * 3000}), 400, LOST)
    fails(callback(cookies={key: of_other}), 400, LOST)
    assert issuer().counts().get("/token", 0) == asked, "nobody was asked for any of these"
    fails(callback(code=None), 403, REFUSED)
    fails(callback(iss="https://evil.example.org"), 403, REFUSED)
    fails(callback(iss=None), 403, REFUSED)  # this issuer says that it always names itself
    assert issuer().counts().get("/token", 0) == asked, "the code goes to nobody else"
    fails(callback(code="x" * 43), 403, REFUSED)
    # The code of another login was not made for this one's verifier.
    fails(callback(state=other), 403, REFUSED)
    assert rows(s) == []


def test_a_callback_counts_once(start):
    s, b = begin(start)
    back = b.at_issuer(b.to_issuer())
    stolen = Browser(b.page)
    stolen.cookies = dict(b.cookies)
    expect(b.get(back), 303)
    fails(b.get(back), 400, LOST)
    # Whoever has kept the cookie finds that the code was used.
    fails(stolen.get(back), 403, REFUSED)
    assert len(rows(s)) == 1


def test_a_nonce_that_is_another(start):
    """The issuer answers with the ID token of a login that was begun elsewhere."""
    s, b = begin(start)
    url = b.to_issuer()
    other = "x" * 43
    back = b.at_issuer(url.replace(query_of(url)["nonce"], other))
    fails(b.get(back), 403, REFUSED)
    assert "the ID token is of another login" in s.logs(), s.logs()[-2000:]
    assert rows(s) == []


def test_logins_on_their_way_are_few(start):
    _, b = begin(start)
    states = [query_of(b.to_issuer())["state"] for _ in range(7)]
    kept = [n[len("dex_login_") :] for n, _ in b.cookies if n.startswith("dex_login_")]
    assert sorted(kept) == sorted(states[-4:]), kept
    assert sum(len(n) + len(v) for (n, _), v in b.cookies.items()) < 4096, b.cookies


def test_two_logins_at_once(start):
    _, b = begin(start)
    one = b.at_issuer(b.to_issuer("/status/" + UNKNOWN_ID))
    two = b.at_issuer(b.to_issuer("/"))
    assert expect(b.get(two), 303).get("Location") == "/"
    assert expect(b.get(one), 303).get("Location") == "/status/" + UNKNOWN_ID


def test_people_without_the_right(start):
    s, b = begin(start)
    back = b.at_issuer(b.to_issuer(), {"name": "eve-reader"})
    fails(b.get(back), 403, "you have no right to upload files here")
    assert rows(s) == []


def test_a_token_for_somebody_else(start):
    s, b = begin(start, resource="alg=ES256&aud=urn:other")
    fails(b.get(b.at_issuer(b.to_issuer())), 403, "what it says of you is not accepted here")
    assert rows(s) == []


def test_an_issuer_that_is_down(start):
    i = login.issuer()
    s = start(settings=login.settings(i))
    page = f"http://127.0.0.1:{s.ui_port}"
    i.allow(page)
    b = Browser(page)
    back = b.at_issuer(b.to_issuer())
    i.stop()
    r = b.get(back)
    fails(r, 503, "The login does not work at the moment")
    assert r.get("Retry-After") == "5", r
    con = sqlite3.connect(s.state_db, timeout=20, isolation_level=None)
    con.execute("DELETE FROM kv WHERE key LIKE 'oauth/%'")
    con.close()
    began = time.monotonic()
    for _ in range(3):
        fails(b.get("/login"), 503, "The login does not work at the moment")
    assert time.monotonic() - began < 4, "its failure is remembered"
    expect(b.get("/"), 200)
    i.close()


# -- the session


def test_an_expired_session(start):
    s, b = begin(start, resource="alg=ES256&ttl=2")
    expect(b.log_in(), 303)
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
    proc.until(lambda: b.api(s, "GET", f"/info/{UNKNOWN_ID}").status == 401, "it ends", 20, 0.1)
    r = expect(b.get("/"), 200)
    assert "Log in</a>" in r.text and "Logged in as" not in r.text
    expect(b.log_in(), 303)  # at the issuer she is known still
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)


def test_a_session_is_renewed(start):
    s, b = begin(start, client="dex-public", resource="alg=ES256&ttl=31", stack={"responders": 2})
    expect(b.log_in(), 303)
    before = rows(s)[0][1]
    asked = issuer().counts()["/token"]

    # Due 30 s before its end.
    def renewed():
        expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
        return issuer().counts()["/token"] > asked

    proc.until(renewed, "another token is asked for", 20, 0.1)
    value = next(v for k, v in rows(s) if k.count("/") == 1)
    assert value != before
    expect(b.log_out(), 200)
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 401)


def test_logout(start):
    i = issuer()
    s, b = begin(start, client="dex-public")
    expect(b.log_in(), 303)
    thief = Browser(b.page)
    thief.cookies = dict(b.cookies)
    revoked = i.counts().get("/token/revocation", 0)
    # Not by a link, nor by the form of another site.
    expect(b.get("/logout"), 405, Allow="POST, OPTIONS")
    expect(b.post("/logout", {}), 403)
    expect(b.post("/logout", {"csrf_token": "0" * 64}), 403)
    expect(b.post("/logout", {"csrf_token": b.form()}, Origin="http://evil.example.org"), 403)
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
    r = expect(b.log_out(), 200)
    assert "You are logged out" in r.text and "Logged in as" not in r.text
    assert b.session() is None
    expect(thief.api(s, "GET", f"/info/{UNKNOWN_ID}"), 401)
    assert i.counts()["/token/revocation"] == revoked + 1
    assert all(not v for k, v in rows(s) if not k.startswith("session/renew"))
    # The way out of the issuer, and back.
    url = re.search(r'href="([^"]*)">Log out of the login service', r.text)[1].replace("&amp;", "&")
    q = query_of(url)
    assert url.startswith(i.url) and q["post_logout_redirect_uri"] == f"{b.page}/", url
    assert q["id_token_hint"].count(".") == 2, q
    expect(b.get(url), 200)


def test_another_key_ends_all_sessions(start):
    s, b = begin(start)
    expect(b.log_in(), 303)
    s.stop_responders()
    s.start_responders(OAUTH_SESSION_KEY="another key of the tests, just as long 01234567")
    s.await_service()
    expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 401)
    expect(b.get("/"), 200)


def test_other_pages_cannot_use_it(start):
    s, b = begin(start, DEX_CORS_ORIGINS="*")
    expect(b.log_in(), 303)
    where = f"http://127.0.0.1:{s.port}/info/{UNKNOWN_ID}"
    own = {"Access-Control-Request-Method": "PATCH", "Origin": b.page}
    r = expect(b.ask("OPTIONS", f"http://127.0.0.1:{s.port}/files/", own), 204)
    assert r.get("Access-Control-Allow-Origin") == b.page, r
    assert r.get("Access-Control-Allow-Credentials") == "true", r
    for origin in (
        "http://evil.example.org", "null", "http://127.0.0.1", f"http://127.0.0.1:{s.ui_port}0",
        f"http://127.0.0.1:{s.ui_port}.evil.example.org", f"http://evil.example.org:{s.ui_port}",
    ):  # fmt: skip
        r = expect(b.ask("GET", where, {"Origin": origin}), 401)
        assert r.get("Access-Control-Allow-Origin") == "*", r
        assert r.get("Access-Control-Allow-Credentials") is None, r
        r = b.ask("OPTIONS", f"http://127.0.0.1:{s.port}/files/", {**own, "Origin": origin})
        assert r.get("Access-Control-Allow-Credentials") is None, r
    for site in (None, "cross-site", "same-site", "none"):
        expect(b.ask("GET", where, {"Sec-Fetch-Site": site}), 401)
    expect(b.ask("GET", where, {"Sec-Fetch-Site": "same-origin"}), 404)
    expect(b.ask("GET", where, {"Origin": b.page}), 404)
    # A token has precedence, also one that is no good.
    expect(b.ask("GET", where, {"Origin": b.page, **auth("junk")}), 401)
    expect(create(b, s, {"Origin": "http://evil.example.org"}), 401)


def test_pages_at_other_addresses(start):
    s, b = begin(start, CSRF_TRUSTED_ORIGINS="https://upload.example.org")
    expect(b.log_in(), 303)
    where = f"http://127.0.0.1:{s.port}/info/{UNKNOWN_ID}"
    r = expect(b.ask("GET", where, {"Origin": "https://upload.example.org"}), 404)
    assert r.get("Access-Control-Allow-Origin") == "https://upload.example.org", r
    expect(b.ask("GET", where, {"Origin": "https://other.example.org"}), 401)


def test_any_trusted_origin_is_none_for_sessions(start):
    s, b = begin(start, CSRF_TRUSTED_ORIGINS="*")
    expect(b.log_in(), 303)
    where = f"http://127.0.0.1:{s.port}/info/{UNKNOWN_ID}"
    expect(b.ask("GET", where, {"Origin": "https://other.example.org"}), 401)
    expect(b.ask("GET", where, {"Origin": b.page}), 404)


def test_the_names_of_cookies(start):
    for secure, domain, name, more in (
        ("true", None, "__Host-dex_session", "; Secure"),
        ("true", "example.org", "__Secure-dex_session", "; Domain=example.org; Secure"),
        ("false", "example.org", "dex_session", "; Domain=example.org"),
    ):
        s, b = begin(start, OAUTH_SESSION_SECURE=secure, OAUTH_SESSION_DOMAIN=domain)
        r = expect(b.log_in(), 303)
        cookie = next(c for c in r.all("Set-Cookie") if "dex_session=" in c)
        assert cookie.startswith(name + "="), cookie
        parts = set(cookie.split("; ")[1:])
        assert parts == {"Path=/", "HttpOnly", "SameSite=Lax", *more.split("; ")[1:]}, cookie
        expect(b.api(s, "GET", f"/info/{UNKNOWN_ID}"), 404)
        r = expect(b.get("/login"), 303)
        made = [c.split("=")[0] for c in r.all("Set-Cookie")]
        assert all(n.startswith("__Secure-") == (secure == "true") for n in made), made


# -- where it is off


def test_without_a_client_there_is_no_login(start):
    s = start(settings=issuer().settings())
    page = Browser(f"http://127.0.0.1:{s.ui_port}")
    for method, path in (
        ("GET", "/login"), ("GET", "/oauth_callback?state=x"), ("POST", "/logout"),
        ("GET", "/logged_in"), ("DELETE", "/login"),
    ):  # fmt: skip
        expect(page.ask(method, path), 404)
    r = expect(page.get("/"), 200)
    assert "Log in" not in r.text and "An access token is needed" in r.text
    s = start(settings={"OAUTH_CLIENT_ID": "dex-web"})  # nobody is asked who he is
    page = Browser(f"http://127.0.0.1:{s.ui_port}")
    expect(page.get("/login"), 404)
    assert "Log in" not in expect(page.get("/"), 200).text


def test_settings_that_do_not_fit(start):
    s = start(settings=login.settings(issuer()))
    for settings, name in (
        ({"OAUTH_SESSION_KEY": None}, "OAUTH_SESSION_KEY"),
        ({"OAUTH_SESSION_KEY": "x" * 31}, "OAUTH_SESSION_KEY"),
        ({"OAUTH_CLIENT_ID": None}, "OAUTH_CLIENT_SECRET"),
        ({"OAUTH_ISSUER_URL": None}, "OAUTH_CLIENT_ID"),
        ({"OAUTH_SESSION_DOMAIN": "a b"}, "OAUTH_SESSION_DOMAIN"),
        ({"OAUTH_SESSION_SECURE": "perhaps"}, "OAUTH_SESSION_SECURE"),
    ):
        r = s.check("--check-config", **settings)
        assert r.returncode != 0 and f"{name}: expected" in r.stdout + r.stderr, (settings, r)
        assert KEY not in r.stdout + r.stderr and "dex-web-secret" not in r.stdout + r.stderr
    r = s.check("--check-config")
    assert r.returncode == 0 and "OAUTH_SESSION_KEY=****" in r.stdout, r
    assert "keep no session" not in r.stdout + r.stderr
    r = s.check("--check-config", OAUTH_SESSION_SECURE="true", SERVER_HOSTNAME="up.example.org")
    assert r.returncode == 0 and "OAUTH_SESSION_SECURE: where" in r.stdout + r.stderr, r


# -- in a browser


def test_in_a_browser(start):
    """With cookies for HTTPS only, which browsers keep from this machine without it, too."""
    installed.ui()
    s, _ = begin(start, stack={"watch": True}, OAUTH_SESSION_SECURE="true")
    assert len(browser.drive(s, issuer().token("alice", "ES256"), "login")) > 10


def test_in_a_browser_on_shared_hosting(start):
    installed.ui()
    s, _ = begin(start, stack={"watch": True, "server": "cgi"})
    browser.drive(
        s, issuer().token("alice", "ES256"), "login", scenarios=["login_upload_and_logout"]
    )


def test_in_firefox(start):
    installed.ui()
    s, _ = begin(start, stack={"watch": True})
    browser.drive(
        s, issuer().token("alice", "ES256"), "login", program="firefox-esr",
        scenarios=["a_login_does_not_cost_what_was_typed"],
    )  # fmt: skip
