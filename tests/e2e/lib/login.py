# SPDX-License-Identifier: Apache-2.0
"""What a browser does when a person logs in: cookies by host and path, redirects one by one."""

import re
import subprocess
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from . import http, oidc
from .check import expect
from .runner import Skip

KEY = "a key of the tests that nobody else has, 0123456789"
FORM = "application/x-www-form-urlencoded"


def issuer():
    try:
        return oidc.Issuer()
    except oidc.Missing as e:
        raise Skip(str(e)) from None


def settings(issuer, client="dex-web", resource="alg=ES256", **more):
    """Those of a service whose people log in at ${issuer}; dex-public has no secret."""
    secret = {"OAUTH_CLIENT_SECRET": "dex-web-secret"} if client == "dex-web" else {}
    return {
        **issuer.settings(),
        "OAUTH_CLIENT_ID": client,
        "OAUTH_LOGIN_RESOURCE": f"https://dex.example/?{resource}",
        "OAUTH_SESSION_KEY": KEY,
        "OAUTH_SESSION_SECURE": "false",
        **secret,
        **more,
    }


class Browser:
    def __init__(self, page, prefix=""):
        self.page = page  # its origin, "http://127.0.0.1:8081"
        self.prefix = prefix  # what all paths of the page begin with
        self.cookies = {}  # (name, path): value

    def _cookie(self, path):
        def below(there):
            return path == there or path.startswith(there.rstrip("/") + "/")

        return "; ".join(f"{n}={v}" for (n, p), v in self.cookies.items() if below(p)) or None

    def _keep(self, r):
        for line in r.all("Set-Cookie"):
            pair, *rest = line.split("; ")
            name, value = pair.split("=", 1)
            attributes = {}
            for attribute in rest:
                key, _, of_key = attribute.partition("=")
                attributes[key.lower()] = of_key
            key = name, attributes.get("path", "/")
            assert name.startswith("_") or "httponly" in attributes, line
            if attributes.get("max-age") == "0" or " 1970 " in attributes.get("expires", ""):
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = value

    def ask(self, method, url, headers=None, body=None):
        """One request; the answer, which is not followed."""
        if url.startswith("/") and not url.startswith(f"{self.prefix}/"):
            url = self.prefix + url
        url = urljoin(self.page, url)
        at = urlsplit(url)
        path = at.path or "/"
        h = {"Cookie": self._cookie(path), **(headers or {})}
        target = path + (f"?{at.query}" if at.query else "")
        r = self.send((at.hostname, at.port), method, target, h, body)
        self._keep(r)
        return r

    def send(self, addr, method, target, headers, body):
        return http.request(addr, method, target, headers, body)

    def get(self, url):
        return self.ask("GET", url)

    def post(self, url, fields, **headers):
        headers = {"Content-Type": FORM, "Origin": self.page, **headers}
        return self.ask("POST", url, headers, urlencode(fields).encode())

    def to_issuer(self, to=None):
        """Begin a login; the URL at the issuer."""
        r = expect(self.get("/login" + (f"?{urlencode({'to': to})}" if to else "")), 303)
        return r.get("Location")

    def at_issuer(self, url, answer=None):
        """Be there until it sends the browser back; the URL it is sent to."""
        form = urlencode(answer or {"name": "alice"}).encode()
        for _ in range(8):
            r = self.get(url)
            if r.status == 200:
                r = self.ask("POST", url, {"Content-Type": FORM}, form)
            assert r.status in (302, 303), r
            url = urljoin(url, r.get("Location"))
            if url.startswith(self.page):
                return url
        raise AssertionError(f"the issuer does not come to an end: {url}")

    def log_in(self, name="alice", to=None):
        """The whole way; the answer of the callback."""
        return self.get(self.at_issuer(self.to_issuer(to), {"name": name}))

    def session(self):
        return next((v for (n, _), v in self.cookies.items() if n.endswith("dex_session")), None)

    def api(self, s, method, path, headers=None, body=None):
        """As the page's script asks the API."""
        h = {"Origin": self.page, "Tus-Resumable": "1.0.0", **(headers or {})}
        return self.ask(method, s.url(path), h, body)

    def form(self, url="/"):
        """The csrf token of a page."""
        r = expect(self.get(url), 200)
        return re.search(r'name="csrf_token" value="([0-9a-f]{64})"', r.text)[1]

    def log_out(self):
        return self.post("/logout", {"csrf_token": self.form()})


class CgiBrowser(Browser):
    """The page and the API of ${stack} as CGI programs, one for each request."""

    def __init__(self, stack):
        super().__init__(stack.ui_url())
        self.stack = stack

    def send(self, addr, method, target, headers, body):
        if addr[1] not in (self.stack.ui_port, self.stack.port):
            return super().send(addr, method, target, headers, body)
        path, _, query = target.partition("?")
        variables = {
            "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": method,
            "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": f"{addr[0]}:{addr[1]}", "CONTENT_LENGTH": str(len(body or b"")),
            "DEX_UI": "1" if addr[1] == self.stack.ui_port else "",
        }  # fmt: skip
        for name, value in headers.items():
            if value is not None:
                name = name.upper().replace("-", "_")
                variables[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = value
        # Its settings come from the file: SERVER_PORT and the like are CGI's own variables.
        settings = f"{self.stack.dir}/cgi.env"
        with open(settings, "w") as f:
            f.writelines(f"{k}='{v}'\n" for k, v in self.stack.settings.items())
        r = subprocess.run(
            [self.stack.binary("dex-upload")], cwd=self.stack.dir, input=body or b"", timeout=60,
            env={**self.stack.sanitizer_env(), **variables, "DEX_APPCONF": settings},
            capture_output=True,
        )  # fmt: skip
        assert r.returncode == 0, r
        head, _, content = r.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status, reason = lines[0][1].split(" ", 1)
        return http.Response(int(status), reason, [tuple(line) for line in lines[1:]], content)


def query_of(url):
    return {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
