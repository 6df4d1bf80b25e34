# SPDX-License-Identifier: Apache-2.0
"""The OpenID Connect issuer of the tests: oidc-provider, and tokens that are wrong in one way each."""

import atexit
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from urllib.parse import urlencode

from . import http, proc, servers

SOURCE = f"{servers.ROOT}/tests/services"
BUILD = f"{servers.ROOT}/build/tests/oidc"
ALGS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ALL = "dex:upload dex:read dex:route"


class Missing(Exception):
    """Node.js or the package cannot be had here."""


def install():
    lock = f"{SOURCE}/oidc/package-lock.json"
    stamp = f"{BUILD}/installed"
    if not shutil.which("node") or not shutil.which("npm"):
        raise Missing("node and npm are missing")
    os.makedirs(BUILD, exist_ok=True)
    if not os.path.exists(stamp) or open(stamp).read() != open(lock).read():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(f"{SOURCE}/oidc/{name}", BUILD)
        r = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=BUILD, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if r.returncode != 0:
            raise Missing(f"oidc-provider cannot be installed: {r.stderr.strip()[-300:]}")
        shutil.copy(lock, stamp)
    shutil.copy(f"{SOURCE}/oidc_server.mjs", BUILD)


class Issuer:
    def __init__(self):
        install()
        self.dir = tempfile.mkdtemp(prefix="dex-oidc-")
        self.port = proc.free_port()
        self.addr = ("127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.daemon = None
        self.start()
        atexit.register(self.close)

    def start(self):
        log = f"{self.dir}/log"
        self.daemon = proc.Daemon(["node", "oidc_server.mjs", str(self.port)], log, BUILD)

        def up():
            assert self.daemon.running(), open(log).read()
            return f"up {self.url}\n" in open(log).read()

        proc.until(up, "the issuer listens", 120, 0.05)

    def stop(self):
        if self.daemon:
            self.daemon.stop()
            os.truncate(f"{self.dir}/log", 0)
        self.daemon = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _post(self, path, body, headers=None):
        r = http.request(self.addr, "POST", path, headers or {}, body.encode())
        assert r.status == 200, r
        return r.text

    def token(self, client, alg=None, scope=ALL):
        """A good one: a JWT, or opaque without ${alg}."""
        basic = base64.b64encode(f"{client}:{client}-secret".encode()).decode()
        form = {"grant_type": "client_credentials", "scope": scope}
        form["resource"] = f"https://dex.example/?alg={alg}" if alg else "https://dex.example/"
        text = self._post(
            "/token", urlencode(form),
            {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        return json.loads(text)["access_token"]

    def revoke(self, client, token):
        basic = base64.b64encode(f"{client}:{client}-secret".encode()).decode()
        self._post(
            "/token/revocation", urlencode({"token": token}),
            {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip

    def claims(self, **more):
        """Those of a good token of alice; None takes one away."""
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": "alice", "client_id": "alice", "aud": "urn:dex", "scope": ALL,
            "iat": now, "exp": now + 600, "jti": "1", **more,
        }  # fmt: skip
        return {k: v for k, v in claims.items() if v is not None}

    def sign(self, claims, alg="RS256", key=None, header=None):
        """Any token. ${header}: members beyond the usual ones (None takes one away), or a text."""
        key = key or f"k-{alg}-{self.generation()}"
        if not isinstance(header, str):
            header = {"alg": alg, "kid": key, "typ": "at+jwt", **(header or {})}
            header = {k: v for k, v in header.items() if v is not None}
        return self._post(
            "/test/sign",
            json.dumps({"key": key, "alg": alg, "header": header, "claims": claims}),
        )

    def generation(self):
        return self.counts().get("generation", 0)

    def rotate(self):
        self._post("/test/rotate", "")

    def allow(self, origin):
        """People of the upload page at ${origin} may log in here."""
        self._post("/test/site", origin)

    def counts(self):
        return json.loads(http.request(self.addr, "GET", "/test/counts").text)

    def settings(self, **more):
        return {
            "OAUTH_AUTH_ENABLED": "true",
            "OAUTH_ISSUER_URL": self.url,
            "OAUTH_AUDIENCE": "urn:dex",
            "OAUTH_REQUIRED_SCOPES": "dex:upload",
            "OAUTH_READ_SCOPES": "dex:read",
            "OAUTH_ROUTE_SCOPES": "dex:route",
            "OAUTH_ADMIN_SCOPE": "dex:admin",
            "OAUTH_INTROSPECTION_URL": f"{self.url}/token/introspection",
            "OAUTH_INTROSPECTION_CLIENT_ID": "dex",
            "OAUTH_INTROSPECTION_CLIENT_SECRET": "dex-secret",
            **more,
        }


def auth(token):
    return {"Authorization": f"Bearer {token}"}
