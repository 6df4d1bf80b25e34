# SPDX-License-Identifier: Apache-2.0
"""The shipped sites for nginx: who may read /metrics, limits, answers of its own, TLS and HTTP/2."""

import signal
import socket
import ssl
import subprocess
import tempfile
import typing
from urllib.parse import urlsplit

from lib import http, proc, servers
from lib.certs import Authority
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.manifests import encode, manifest
from lib.tus import OCT, Tus, payload

HSTS = "max-age=31536000"
NAME = "upload.example.org"


def reload(s):
    """nginx takes its files anew: all its workers are others then."""
    old = set(proc.children(s.front.pid))
    s.front.signal(signal.SIGHUP)

    def renewed():
        now = {pid for pid in proc.children(s.front.pid) if proc.alive(pid)}
        return now and not now & old

    proc.until(renewed, "nginx has new workers alone", 30, 0.05)


def change(s, name, replaced):
    with open(f"{s.web}/{name}") as f:
        text = f.read()
    for old, new in replaced.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    servers.write(f"{s.web}/{name}", text)


def test_what_is_for_inside_only(start):
    s = start()
    expect(s.get("/metrics"), 200)
    paths = [s.tus.new(1000) for _ in range(2)]
    change(s, "dex-upload.conf", {"127.0.0.0/8 1;": "127.0.0.2 1;"})
    change(s, "api.conf", {"dex_upload_connections 64;": "dex_upload_connections 2;"})
    reload(s)
    expect_error(s.get("/metrics"), 403, "ERR_FORBIDDEN")
    held = []
    for path in paths:
        held.append(s.tus.start_patch(path, 0, 1000))
        held[-1].send(b"x" * 10)
        proc.until(lambda path=path: s.size(path) == 10, "it is under way")

    def refused():
        r = s.get("/version")
        return r if r.status == 429 else None

    r = proc.until(refused, "the third connection from one address is refused")
    expect_error(r, 429, "ERR_TOO_MANY")
    assert r.get("Retry-After") and r.get("Access-Control-Allow-Origin") == "*", r
    for c in held:
        c.send(b"x" * 990)
        expect(c.response("PATCH"), 204)
        c.close()
    change(s, "http.conf", {"rate=50r/s": "rate=1r/m"})
    change(s, "api.conf", {"burst=200": "burst=1 nodelay"})
    reload(s)
    proc.until(refused, "more requests than the rate are refused")


def test_answers_of_its_own(start):
    s = start()
    path = f"{s.tus.files}/{UNKNOWN_ID}"
    for r in (
        s.tus.request("GET", path, {"X-Long": "x" * 40000}),
        s.get("/files/" + "x" * 40000),
        s.request("TRACE", "/files"),
    ):
        expect(r, (400, 405, 414), Tus_Resumable="1.0.0", Access_Control_Allow_Origin="*")
        assert r.text.startswith("ERR_") and r.get("Strict-Transport-Security") is None, r
    s.fcgi.stop()
    for r in (s.tus.create(5), s.tus.options()):
        expect(r, 502, Tus_Resumable="1.0.0", Access_Control_Allow_Origin="*")
        assert r.get("Retry-After") and r.text.startswith("ERR_UNAVAILABLE"), r


class TlsDoor(typing.NamedTuple):
    """See http.dial."""

    host: str
    port: int
    context: ssl.SSLContext

    def dial(self, timeout):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        return self.context.wrap_socket(plain, server_hostname=self.host)


class Secure:
    """A stack whose nginx has the site with TLS."""

    def __init__(self, start, folder):
        ca = Authority(folder)
        cert, key = ca.issue("upload", NAME)
        self.ca = ca.cert
        self.port, self.ui_port, plain_port = (proc.free_port() for _ in range(3))
        self.s = s = start(settings={"SERVER_PROTOCOL": "https"})
        site = {
            "/usr/share/dex-upload/nginx/": "",
            "unix:/run/dex-upload/upload.sock": f"unix:{s.socket(0)}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "listen 8081": f"listen 127.0.0.1:{self.ui_port}",
            "listen 80;": f"listen 127.0.0.1:{plain_port};",
            "/etc/ssl/dex-upload/fullchain.pem": cert,
            "/etc/ssl/dex-upload/privkey.pem": key,
        }
        servers.write(f"{s.web}/dex-upload.conf", servers.shipped("nginx/dex-upload-tls.conf", site))
        reload(s)
        self.plain = (NAME, plain_port)
        self.tls = ssl.create_default_context(cafile=ca.cert)
        self.door = TlsDoor(NAME, self.port, self.tls)
        self.ui_door = TlsDoor(NAME, self.ui_port, self.tls)

    def curl(self, *argv):
        return [
            "curl", "-sS", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert", self.ca,
            "--resolve", f"{NAME}:{self.port}:127.0.0.1", "-H", "Tus-Resumable: 1.0.0", *argv,
        ]  # fmt: skip

    def patch(self, path, offset, file, *more):
        return self.curl(
            "-X", "PATCH", "-H", f"Upload-Offset: {offset}", "-H", f"Content-Type: {OCT}", "--data-binary",
            f"@{file}", *more, f"https://{NAME}:{self.port}{path}",
        )  # fmt: skip


def test_the_site_with_tls(start):
    with tempfile.TemporaryDirectory() as d:
        x = Secure(start, d)
        tus_over_tls(x)
        tus_over_http2(x, d)


def tus_over_tls(x):
    t = Tus(x.door)
    data = payload(100_000)
    r = expect(t.create(len(data)), 201, Strict_Transport_Security=HSTS)
    assert r.get("Location").startswith(f"https://{NAME}:{x.port}/files/"), r
    assert len(r.all("Strict-Transport-Security")) == 1, r
    path = t.path(r)
    with t.start_patch(path, 0, len(data)) as c:
        c.send(data[:60_000])
        proc.until(lambda: x.s.size(path) == 60_000, "bytes arrive while the sender is silent")
    assert t.offset(path) == 60_000
    expect(t.patch(path, 60_000, data[60_000:]), 204)
    r = http.request(x.ui_door, "GET", "/")
    expect(r, 200, Strict_Transport_Security=HSTS)
    expect(http.request(x.ui_door, "GET", "/assets/ui.none"), 404, Strict_Transport_Security=HSTS)
    r = t.request("GET", path, {"X-Long": "x" * 40000})
    expect(r, 400, Strict_Transport_Security=HSTS, Tus_Resumable="1.0.0")
    plain = TlsDoor(NAME, x.port, x.tls)._replace(context=NoTls())
    expect(http.request(plain, "GET", "/"), 400, Tus_Resumable="1.0.0")
    redirected = TlsDoor(NAME, x.plain[1], NoTls())
    r = expect(http.request(redirected, "POST", "/files"), 308)
    assert r.get("Location") == f"https://{NAME}/files", r
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(x.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    try:
        x.door._replace(context=old).dial(10)
        raise AssertionError("TLS 1.1 was accepted")
    except (ssl.SSLError, ConnectionResetError):
        pass


class NoTls:
    def wrap_socket(self, plain, server_hostname):
        return plain


def tus_over_http2(x, folder):
    data = payload(3_000_000)
    file = f"{folder}/data"
    with open(file, "wb") as f:
        f.write(data)
    r = subprocess.run(
        x.curl("-X", "POST", "-H", f"Upload-Length: {len(data)}", "-H", f"Upload-Metadata: {encode(manifest())}",
            "-w", "%{http_version} %{http_code} %header{location}", f"https://{NAME}:{x.port}/files"),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    version, status, location = r.stdout.split()
    assert (version, status) == ("2", "201"), r
    path = urlsplit(location).path
    slow = subprocess.Popen(x.patch(path, 0, file, "--limit-rate", "500k"))
    proc.until(lambda: x.s.size(path) > 200_000, "bytes arrive over HTTP/2", 20)
    slow.kill()
    slow.wait()
    t = Tus(x.door)
    kept = t.offset(path)
    assert 200_000 < kept < len(data) and x.s.stored(path) == data[:kept], kept
    with open(file, "wb") as f:
        f.write(data[kept:])
    for offset, answer in ((kept + 1, "2 409"), (kept, "2 204")):
        r = subprocess.run(x.patch(path, offset, file), capture_output=True, text=True, timeout=60)
        assert r.stdout == answer, r
    assert x.s.stored(path) == data
