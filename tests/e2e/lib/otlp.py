# SPDX-License-Identifier: Apache-2.0
"""A collector of OTLP/HTTP traces in JSON, which checks them against the published schema."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import installed


class Collector:
    """with Collector() as c: …; ${answers}: statuses of the first requests, then 200."""

    def __init__(self, answers=()):
        self.requests = []  # (headers, body)
        answers = list(answers)
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers.pop(0) if answers else 200
                if status == 200:
                    collector.requests.append((dict(self.headers), self.path, body))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def spans(self):
        """All spans so far as {"name", "attributes": {…}, …, "resource": {…}}, checked."""
        bodies = [json.loads(body) for _, _, body in self.requests]
        r = subprocess.run(
            [installed.python(), f"{installed.SOURCE}/otlp_check.py"],
            input=json.dumps(bodies), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert r.returncode == 0, r.stderr
        found = []
        for request in bodies:
            for resource in request["resourceSpans"]:
                about = values(resource["resource"]["attributes"])
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        span["attributes"] = values(span["attributes"])
                        found.append({**span, "resource": about})
        return found


def values(attributes):
    return {
        a["key"]: int(a["value"]["intValue"])
        if "intValue" in a["value"]
        else a["value"]["stringValue"]
        for a in attributes
    }
