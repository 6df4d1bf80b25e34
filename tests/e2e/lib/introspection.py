# SPDX-License-Identifier: Apache-2.0
"""An introspection end point (RFC 7662) that calls every token alice's, with all scopes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from .oidc import ALL


class Introspection:
    """with Introspection() as i: …; ${tls}: an SSL context."""

    def __init__(self, tls=None):
        self.seen = []  # headers of the requests
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(dict(self.headers))
                body = json.dumps({"active": True, "sub": "alice", "scope": ALL}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.settings = {
            "OAUTH_AUTH_ENABLED": "true",
            "OAUTH_INTROSPECTION_URL": f"{host}:{self.server.server_port}/ask",
        }
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
