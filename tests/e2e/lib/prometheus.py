# SPDX-License-Identifier: Apache-2.0
"""A Prometheus with the shipped rules that scrapes one stack each second."""

import json
import os
import re
import shutil
import urllib.parse

from . import http, proc, servers

SHIPPED = f"{servers.ROOT}/deploy/prometheus"


class Prometheus:
    def __init__(self, home, target):
        self.dir = f"{home}/prometheus"
        os.mkdir(self.dir)
        self.addr = ("127.0.0.1", proc.free_port())
        shutil.copy(f"{SHIPPED}/dex-upload.rules.yml", self.dir)
        with open(f"{SHIPPED}/prometheus.yml") as f:
            config = re.sub(r"(interval): 15s", r"\1: 1s", f.read())
        self.config = config.replace("localhost:8080", "%s:%d" % target)
        servers.write(f"{self.dir}/prometheus.yml", self.config)
        self.daemon = proc.Daemon(
            [
                servers.program("prometheus"), "--config.file=prometheus.yml",
                "--storage.tsdb.path=data", "--web.listen-address=%s:%d" % self.addr,
            ],
            f"{home}/log/prometheus.log", self.dir,
        )  # fmt: skip

    def api(self, path, **query):
        r = http.request(self.addr, "GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
        answer = json.loads(r.body)
        assert r.status == 200 and answer["status"] == "success", (query, answer)
        return answer["data"]

    def query(self, expr):
        """The samples of ${expr} now."""
        return self.api("query", query=expr)["result"]

    def await_target(self):
        def up():
            try:
                return any(s["value"][1] == "1" for s in self.query("up"))
            except (OSError, ValueError):  # not yet there, or not yet ready
                return False

        proc.until(up, "Prometheus scrapes the target", 30, 0.1)

    def stop(self):
        self.daemon.stop()
