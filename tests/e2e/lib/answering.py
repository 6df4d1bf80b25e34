# SPDX-License-Identifier: Apache-2.0
"""A service that answers GET and POST requests, on a free port of this process."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering:
    """with Answering(answer) as a: …; answer(headers, path, body) is (status, JSON text), and may have a
    third member with header fields. ${tls}: an SSL context."""

    def __init__(self, answer, tls=None):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, text, *more = answer(dict(self.headers), self.path, body)
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                # Who has waited for too long has gone.
                with contextlib.suppress(BrokenPipeError):
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.url = f"{host}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
