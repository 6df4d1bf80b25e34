# SPDX-License-Identifier: Apache-2.0
"""The upload page: what the responder answers, and a browser that uses it."""

import base64
import html
import json
import os
import re
from urllib.parse import urlencode

from lib import browser, http, installed, oidc, servers
from lib.check import UNKNOWN_ID, expect
from lib.manifests import STREAMS, manifest
from lib.runner import Skip
from lib.tus import upload_id

SERVERS = ("nginx", "apache", "cgi")
FORM = "application/x-www-form-urlencoded"


def ask(stack, method, path, headers=None, body=None):
    at = ("127.0.0.1", stack.ui_port)
    return http.request(at, method, stack.ui_prefix + path, headers, body)


def form_of(stack, stream, route, cookie=None):
    """A fresh form: its cookie and its token."""
    headers = {"Cookie": cookie} if cookie else {}
    query = urlencode({"data_stream_id": stream, "data_stream_route": route})
    r = expect(ask(stack, "GET", f"/manifest?{query}", headers), 200)
    if not cookie:
        cookie = r.get("Set-Cookie").split(";")[0]
    return cookie, re.search(r'name="csrf_token" value="([0-9a-f]{64})"', r.text)[1], r


def post(stack, fields, cookie=None, **headers):
    h = {"Content-Type": FORM, **({"Cookie": cookie} if cookie else {})}
    h.update({k.replace("_", "-"): v for k, v in headers.items()})
    return ask(stack, "POST", "/upload", h, urlencode(fields).encode())


def send(stack, stream="dextesting", route="testevent1", headers=None, **more):
    cookie, token, _ = form_of(stack, stream, route)
    fields = {"csrf_token": token, **manifest(stream, route, **more)}
    return post(stack, fields, cookie, **(headers or {}))


def has_page_headers(r):
    policy = r.get("Content-Security-Policy")
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy, policy
    assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy, policy
    assert r.get("X-Content-Type-Options") == "nosniff", r
    assert r.get("X-Frame-Options") == "DENY", r
    assert r.get("Referrer-Policy") == "same-origin", r
    assert r.get("Access-Control-Allow-Origin") is None, r
    assert r.get("Content-Type") == "text/html; charset=utf-8", r
    assert not re.search(r"<script(?! type=\"module\" src=)|<style| style=| on[a-z]+=", r.text)


# --- pages


def test_landing(stack):
    r = expect(ask(stack, "GET", "/"), 200)
    has_page_headers(r)
    assert "<h1>Welcome to DEX Upload</h1>" in r.text
    assert r.text.index("Skip to main content") < r.text.index("<nav")
    for stream, route in STREAMS:
        assert f'<option value="{stream}">' in r.text and f'<option value="{route}">' in r.text
    head = expect(ask(stack, "HEAD", "/"), 200)
    # Apache leaves the length out.
    assert head.get("Content-Length") in (None, str(len(r.body))) and not head.body, head


def test_the_page_names_the_api(stack):
    r = expect(ask(stack, "GET", "/"), 200)
    origin = f"http://127.0.0.1:{stack.port}"
    assert f"connect-src 'self' {origin};" in r.get("Content-Security-Policy")
    settings = json.loads(html.unescape(re.search(r'data-settings="([^"]*)"', r.text)[1]))
    # On shared hosting the web server passes on what is asked of it below the page's own address.
    url = stack.ui_url if stack.server == "cgi" else stack.url
    assert settings["files"] == url("/files/"), settings
    assert settings["info"] == url("/info/"), settings


def test_the_api_may_lie_elsewhere(start):
    s = start(
        settings={
            "UI_SERVER_EXTERNAL_PROTOCOL": "https",
            "UI_SERVER_EXTERNAL_HOST": "api.example.org",
        }
    )
    r = expect(ask(s, "GET", "/"), 200)
    assert "connect-src 'self' https://api.example.org;" in r.get("Content-Security-Policy")
    assert "https://api.example.org/files/" in r.text


def test_the_chunks_are_as_large_as_a_request_may_be(start):
    query = "data_stream_id=dextesting&data_stream_route=testevent1&several=1"
    for setting, size, most in (("16MiB", 16 << 20, 16 << 20), ("1GiB", 40_000_000, 1 << 30)):
        s = start(settings={"DEX_MAX_APPEND": setting})
        pages = (f"/manifest?{query}", f"/status/{upload_id(s.tus.new(9))}")
        for r in (ask(s, "GET", page) for page in pages):
            assert f'value="{size}" max="{most}" aria-describedby="chunk-h"' in expect(r, 200).text


def test_every_stream_has_its_form(stack):
    for (stream, route), _ in STREAMS.items():
        with open(f"{servers.ROOT}/upload-configs/v2/{stream}_{route}.json") as f:
            fields = json.load(f)["metadata_config"]["fields"]
        _, _, r = form_of(stack, stream, route)
        has_page_headers(r)
        for field in fields:
            name = field["field_name"]
            if name in ("data_stream_id", "data_stream_route"):
                assert f'id="f-{name}"' not in r.text
                continue
            control = re.search(rf'<(input|select) id="f-{name}"[^>]*>', r.text)
            assert control and f'<label for="f-{name}">' in r.text, name
            assert (" required" in control[0]) == bool(field.get("required")), control[0]
            assert (control[1] == "select") == bool(field.get("allowed_values")), control[0]
            assert field["description"] in html.unescape(r.text)
            for value in field.get("allowed_values") or []:
                assert f'<option value="{value}"' in r.text, value


def test_the_case_of_a_stream_does_not_matter(stack):
    _, _, r = form_of(stack, "EHDI", "Csv")
    assert 'name="data_stream_id" value="ehdi"' in r.text
    assert 'name="data_stream_route" value="csv"' in r.text


def test_unknown_streams(stack):
    for stream, route, strings in (
        ("nope", "csv", ["open nope_csv.json: no such file or directory"]),
        ("../../etc/passwd", "x", ["open invalid_stream_name.json: no such file or directory"]),
        ("", "csv", ["field data_stream_id was missing"]),
        ("ehdi", "", ["field data_stream_route was missing"]),
        ("<script>", "csv", ["open &lt;script&gt;_csv.json: no such file or directory"]),
    ):
        query = urlencode({"data_stream_id": stream, "data_stream_route": route})
        r = expect(ask(stack, "GET", f"/manifest?{query}"), 404)
        has_page_headers(r)
        for text in ["validation failure", *strings]:
            assert f"<code>{text}</code>" in r.text, (text, r.text)
    expect(ask(stack, "GET", "/manifest"), 404)


def test_status_of_unknown_uploads_leads_to_the_start(stack):
    # Apache itself answers where a slash is hidden.
    hidden = ["a%2f..%2fetc"] if stack.server == "nginx" else []
    for name in (UNKNOWN_ID, "nonsense", "", UNKNOWN_ID.upper(), *hidden):
        r = expect(ask(stack, "GET", f"/status/{name}"), 303)
        assert r.get("Location") == f"{stack.ui_prefix}/", r


def test_what_else_is_asked_for(stack):
    # On shared hosting the web server passes these two on: the page has no other address for its API.
    api = [] if stack.server == "cgi" else ["/files/", "/info/" + UNKNOWN_ID]
    for path in ("/nothing", "/health", "/metrics", "/status", *api):
        r = expect(ask(stack, "GET", path), 404)
        has_page_headers(r)
    r = expect(ask(stack, "POST", "/"), 405)
    assert r.get("Allow") == "GET, HEAD, OPTIONS"
    r = expect(ask(stack, "GET", "/upload"), 405)
    assert r.get("Allow") == "POST, OPTIONS"
    expect(ask(stack, "OPTIONS", "/upload"), 204)


def test_no_client_makes_a_page_of_the_api(stack):
    for name in ("DEX_UI", "DEX-UI", "X-DEX-UI"):
        r = expect(stack.get("/?DEX_UI=1", {name: "1"}), 200)
        assert r.get("Content-Type") == "application/json", r


def test_scripts_and_styles_are_files_of_the_web_server(stack):
    installed.ui()
    servers.copy_assets(stack)
    compressed = {"Accept-Encoding": "gzip"}
    types = {"ui.js": "application/javascript", "ui.css": "text/css", "icon.svg": "image/svg+xml"}
    for name, kind in types.items():
        plain = expect(ask(stack, "GET", f"/assets/{name}"), 200)
        assert plain.get("Content-Encoding") is None, plain
        r = expect(ask(stack, "GET", f"/assets/{name}", compressed), 200)
        assert r.get("Content-Type").startswith(kind), r
        assert r.get("Cache-Control") == "no-cache", r
        assert r.get("X-Content-Type-Options") == "nosniff", r
        assert r.get("Content-Security-Policy") == "default-src 'none'", r
        again = {**compressed, "If-None-Match": r.get("ETag")}
        expect(ask(stack, "GET", f"/assets/{name}", again), 304)
    css = expect(ask(stack, "GET", "/assets/ui.css", compressed), 200)
    assert css.get("Content-Encoding") == "gzip" and "Accept-Encoding" in css.get("Vary"), css
    for name in os.listdir(f"{servers.ROOT}/build/ui"):
        with open(f"{servers.ROOT}/build/ui/{name}") as f:
            text = f.read()
        if name.endswith((".js", ".css")):
            assert "//cdn" not in text and not re.search(r"(src|href|url)\W*https?://", text), name
    expect(ask(stack, "GET", "/assets/nothing.js"), 404)


# --- forms


def test_a_form_becomes_an_upload(stack):
    for stream, route in STREAMS:
        r = expect(send(stack, stream, route), 303)
        uid = re.fullmatch(rf"{stack.ui_prefix}/status/([0-9a-f-]{{36}})", r.get("Location"))[1]
        info = stack.info(uid)
        for key, value in manifest(stream, route).items():
            assert info["manifest"][key] == value, (key, info)
        assert info["upload_status"]["status"] == "Initiated", info
        head = expect(stack.tus.head(f"{stack.prefix}/files/{uid}"), 200)
        assert head.get("Upload-Defer-Length") == "1", head
        told = dict(p.split(" ") for p in head.get("Upload-Metadata").split(","))
        assert base64.b64decode(told["received_filename"]).decode() == "data.csv", told
        page = expect(ask(stack, "GET", f"/status/{uid}"), 200)
        has_page_headers(page)
        assert "File Uploader" in page.text and "Initiated" in page.text


def test_status_shows_what_info_tells(stack):
    r = expect(send(stack, sender_id='<i>"me"</i>'), 303)
    uid = r.get("Location").split("/")[-1]
    expect(stack.tus.patch(f"{stack.prefix}/files/{uid}", 0, b"a,b\n", {"Upload-Length": "8"}), 204)
    page = expect(ask(stack, "GET", f"/status/{uid}"), 200)
    assert "In Progress" in page.text and "4 bytes" in page.text
    assert "&lt;i&gt;&quot;me&quot;&lt;/i&gt;" in page.text and "<i>" not in page.text
    expect(stack.tus.patch(f"{stack.prefix}/files/{uid}", 4, b"1,2\n"), 204)
    page = expect(ask(stack, "GET", f"/status/{uid}"), 200)
    assert '<h1 id="title">data.csv</h1>' in page.text and "Complete" in page.text


def test_a_stream_that_is_routed_nowhere(start):
    text = "version: 1.0\ntargets: {edav: {name: edav, type: file, path: %s}}\n"
    s = start(config=text % "/nonexistent" + "routing_groups: []\n")
    uid = expect(send(s), 303).get("Location").split("/")[-1]
    page = expect(ask(s, "GET", f"/status/{uid}"), 200)
    nowhere = "<p>Files of this data stream are delivered nowhere"
    assert nowhere not in page.text
    expect(s.tus.patch(f"{s.prefix}/files/{uid}", 0, b"a,b\n", {"Upload-Length": "4"}), 204)
    page = expect(ask(s, "GET", f"/status/{uid}"), 200)
    assert nowhere in page.text and "<p>Waiting for the delivery" not in page.text


def test_a_rejected_form_comes_back(stack):
    cookie, token, _ = form_of(stack, "ehdi", "csv")
    fields = {
        "csrf_token": token, "data_stream_id": "ehdi", "data_stream_route": "csv",
        "sender_id": "RI-PHA", "data_producer_id": '"<b>', "received_filename": "a/b.csv",
    }  # fmt: skip
    r = expect(post(stack, fields, cookie), 400)
    has_page_headers(r)
    for text in (
        "field jurisdiction was missing",
        "data_producer_id had disallowed value &quot;&lt;b&gt;",
        "invalid character found in a/b.csv validation failure",
    ):
        assert r.text.count(text) == 2, (text, r.text)  # in the summary, and beside the field
    assert '<option value="RI-PHA" selected>' in r.text
    assert 'value="a/b.csv"' in r.text
    assert 'id="e-jurisdiction"' in r.text and 'id="e-sender_id"' not in r.text
    assert r.get("Set-Cookie") is None, "the browser has a cookie"


def test_blanks_around_a_value_do_not_count(stack):
    r = expect(send(stack, sender_id="  me \t", jurisdiction="   "), 400)
    assert "field jurisdiction was missing" in r.text
    r = expect(send(stack, sender_id="  me \t"), 303)
    assert stack.info(r.get("Location").split("/")[-1])["manifest"]["sender_id"] == "me"


def test_fields_of_no_configuration_are_not_taken(stack):
    r = expect(send(stack, upload_id="x", surprise="1"), 303)
    m = stack.info(r.get("Location").split("/")[-1])["manifest"]
    assert "surprise" not in m and m["upload_id"] != "x", m


def test_details_may_be_too_long(stack):
    r = expect(send(stack, sender_id="x" * 6000), 400)
    assert "The details are too long" in r.text
    r = expect(send(stack, sender_id="x" * 6000, headers={"Accept": "application/json"}), 400)
    assert json.loads(r.body) == {"error": "ERR_INVALID_METADATA"}


def test_scripts_get_json(stack):
    json_please = {"Accept": "application/json"}
    r = expect(send(stack, headers=json_please), 201)
    answer = json.loads(r.body)
    assert answer["status_url"] == f"{stack.ui_prefix}/status/{answer['id']}", answer
    assert stack.info(answer["id"])["upload_status"]["status"] == "Initiated"
    r = expect(send(stack, sender_id=None, headers=json_please), 400)
    assert json.loads(r.body) == {
        "error": "ERR_INVALID_MANIFEST",
        "validation_errors": ["validation failure", "field sender_id was missing"],
    }
    r = expect(post(stack, manifest(), **json_please), 403)
    assert json.loads(r.body) == {"error": "ERR_CSRF"}


def test_bodies_that_are_no_forms(stack):
    def of(body, kind=FORM, status=400):
        r = expect(ask(stack, "POST", "/upload", {"Content-Type": kind}, body), status)
        has_page_headers(r)

    of(b"a=1&a=2")
    of(b"a=%zz")
    of(b"a=%ff")
    of(b"a")
    of(b"{}", "application/json", 415)
    of(b"x", "multipart/form-data; boundary=x", 415)
    of(b"a=" + b"x" * 65536, status=413)


# --- forged forms


def test_forms_need_their_token(stack):
    cookie, token, _ = form_of(stack, "dextesting", "testevent1")
    good = {"csrf_token": token, **manifest()}
    other = form_of(stack, "dextesting", "testevent1")[0]
    origin = f"http://127.0.0.1:{stack.ui_port}"
    for fields, cookies, headers in (
        (manifest(), cookie, {}),
        ({**good, "csrf_token": ""}, cookie, {}),
        ({**good, "csrf_token": "0" * 64}, cookie, {}),
        (good, None, {}),
        (good, other, {}),
        (good, "dex_csrf=00", {}),
        (good, cookie, {"Origin": "http://evil.example.org"}),
        (good, cookie, {"Origin": "null"}),
        # The page's own address but for the port.
        (good, cookie, {"Origin": f"http://127.0.0.1:{stack.ui_port ^ 1}"}),
    ):
        r = expect(post(stack, fields, cookies, **headers), 403)
        has_page_headers(r)
        assert 'value="test-sender"' in r.text, "what was typed is kept"
        assert r.get("Location") is None
    expect(post(stack, good, cookie, Origin=origin), 303)
    expect(post(stack, good, f"x=1; {cookie}; y=2"), 303)


def test_the_cookie_is_kept(stack):
    cookie, token, r = form_of(stack, "dextesting", "testevent1")
    attributes = r.get("Set-Cookie")
    assert "HttpOnly" in attributes and "SameSite=Lax" in attributes, attributes
    again = form_of(stack, "ehdi", "csv", cookie)
    assert again[1] == token and again[2].get("Set-Cookie") is None


def test_trusted_origins(start):
    s = start(settings={"CSRF_TRUSTED_ORIGINS": "https://a.example.org,https://b.example.org:8443"})
    cookie, token, _ = form_of(s, "dextesting", "testevent1")
    fields = {"csrf_token": token, **manifest()}
    expect(post(s, fields, cookie, Origin="https://b.example.org:8443"), 303)
    expect(post(s, fields, cookie, Origin="https://A.example.org"), 303)
    expect(post(s, fields, cookie, Origin="https://b.example.org"), 403)


# --- in a browser


# What depends on the web server.
ELSEWHERE = (
    "a_small_file_is_delivered", "a_cut_connection_is_overcome", "refused_details_come_back",
    "without_scripts_it_goes_up_to_the_file",
)  # fmt: skip


def test_in_a_browser(start, server):
    installed.ui()
    s = start(watch=True, settings={"LOGGER_DEBUG_ON": "false"})
    if server == "nginx":
        assert len(browser.drive(s)) > 20
    else:
        browser.drive(s, scenarios=ELSEWHERE)


# --- where tokens are needed


def test_with_tokens(start, server):
    installed.ui()
    try:
        issuer = oidc.Issuer()
    except oidc.Missing as e:
        raise Skip(str(e)) from None
    s = start(watch=True, settings=issuer.settings())
    bearer = {"Authorization": f"Bearer {issuer.token('alice', 'RS256')}"}
    cookie, token, _ = form_of(s, "dextesting", "testevent1")
    fields = {"csrf_token": token, **manifest()}

    r = expect(post(s, fields, cookie), 401)
    has_page_headers(r)
    assert "An access token is needed" in r.text and r.get("WWW-Authenticate") == "Bearer", r
    r = expect(post(s, fields, cookie, Accept="application/json"), 401)
    assert r.get("WWW-Authenticate") == "Bearer", r
    expect(post(s, manifest(), cookie, **bearer), 403)  # a token is no proof of one's own form
    r = expect(post(s, fields, cookie, **bearer), 303)
    uid = r.get("Location").split("/")[-1]
    expect(s.get(f"/info/{uid}", bearer), 200)
    expect(s.get(f"/info/{uid}", {"Authorization": f"Bearer {issuer.token('bob')}"}), 404)

    mine = expect(ask(s, "GET", f"/status/{uid}"), 200)
    none = expect(ask(s, "GET", f"/status/{UNKNOWN_ID}"), 200)
    assert "test-sender" not in mine.text and "data.csv" not in mine.text
    assert mine.text.replace(uid, "") == none.text.replace(UNKNOWN_ID, ""), "it tells who asks"
    if server == "nginx":
        browser.drive(s, issuer.token("alice"))
