# SPDX-License-Identifier: Apache-2.0
"""What operators look at: the shipped rules and dashboard against a live Prometheus, and what the counters
do while responders die."""

import json
import re
import subprocess
import threading

from lib import proc, servers
from lib.manifests import manifest
from lib.prom import Metrics
from lib.prometheus import SHIPPED, Prometheus
from lib.tus import payload

DASHBOARD = f"{servers.ROOT}/deploy/grafana/dex-upload.json"
UPLOADS = 100
RESTARTS = 3


def promtool(*args):
    r = subprocess.run(["promtool", *args], capture_output=True, text=True, cwd=SHIPPED)
    assert r.returncode == 0, r.stdout + r.stderr


def test_rules_are_right():
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", "dex-upload.rules.yml")
    promtool("test", "rules", f"{servers.ROOT}/tests/prometheus/rules_test.yml")


def test_each_alert_has_a_test():
    with open(f"{SHIPPED}/dex-upload.rules.yml") as f:
        alerts = set(re.findall(r"- alert: (\w+)", f.read()))
    with open(f"{servers.ROOT}/tests/prometheus/rules_test.yml") as f:
        blocks = f.read().split("alertname: ")
    firing = {b.split()[0] for b in blocks[1:] if b.split("\n")[1].strip() == "exp_alerts:"}
    assert alerts and alerts == firing, alerts ^ firing


def expressions():
    """(title of the panel, query) of the dashboard, as Grafana would send it."""
    with open(DASHBOARD) as f:
        dashboard = json.load(f)
    values = {"$job": "dex-upload", "$__rate_interval": "20s", "$__range": "1m"}
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"]
            for name, value in values.items():
                expr = expr.replace(name, value)
            assert "$" not in expr, (
                f"{panel['title']}: a variable that the test does not know: {expr}"
            )
            yield panel["title"], expr


def traffic(s):
    """At least one of everything that is counted."""
    path = s.tus.upload(payload(2000))
    s.tus.delete(s.tus.new(5))
    assert s.tus.patch(path, 3, b"x").status == 409
    s.tus.upload(payload(10), manifest("pulsenet", "localsequencefile"))
    proc.until(lambda: s.delivered("edav"), "the watcher delivers", 10)


def test_every_query_of_the_dashboard_has_an_answer(start):
    s = start(watch=True)
    p = Prometheus(s.dir, s.addr)
    try:
        p.await_target()
        wanted = list(expressions())
        assert len(wanted) > 20

        def empty():
            traffic(s)
            return [(title, e) for title, e in wanted if not p.query(e)]

        # Rates need two scrapes: the traffic goes on until they are there.
        proc.until(lambda: not empty(), "an answer to each query", 60, 0.5)
        rules = [r for g in p.api("rules")["groups"] for r in g["rules"]]
        assert [r["name"] for r in rules if r["health"] != "ok"] == [], rules
        assert [r["name"] for r in rules if r.get("state") == "firing"] == []
        recorded = {r["name"] for r in rules if r["type"] == "recording"}
        late = lambda: {name for name in recorded if not p.query(name)}  # noqa: E731
        proc.until(lambda: not late(), "a value of each recording rule", 30, 0.5)
    finally:
        p.stop()


class Uploader(threading.Thread):
    """Sends one upload in three PATCHes, the last of which ${may_end} allows, and goes on where it
    stands whatever happens meanwhile."""

    def __init__(self, stack, ready, may_end):
        super().__init__()
        self.stack, self.ready, self.may_end = stack, ready, may_end
        self.data = payload(9000)
        self.fault = None

    def run(self):
        try:
            path = self.stack.tus.new(len(self.data))
            self.ready.wait(60)
            proc.until(lambda: self.step(path), f"{path} is complete", 90, 0.05)
        except Exception as e:  # noqa: BLE001 - told by the test
            self.fault = f"{type(e).__name__}: {e}"
            self.ready.abort()

    def step(self, path):
        try:
            r = self.stack.tus.head(path, timeout=15)
            if r.status not in (200, 204):
                assert r.status in (423, 502, 503), r
                return False
            offset = int(r.get("Upload-Offset"))
            if offset == 6000 and not self.may_end.is_set():
                return False
            r = self.stack.tus.patch(path, offset, self.data[offset : offset + 3000], timeout=15)
            assert r.status in (204, 409, 423, 502, 503), r
            return r.status == 204 and r.get("Upload-Offset") == str(len(self.data))
        except OSError:
            return False


class Scraper(threading.Thread):
    """Scrapes without a pause; keeps which counters went back."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack
        self.done = threading.Event()
        self.scrapes = 0
        self.last = {}
        self.back = []

    def run(self):
        while not self.done.is_set():
            try:
                r = self.stack.get("/metrics", timeout=15)
            except OSError:
                continue
            if r.status == 200:
                self.look(Metrics(r.text))

    def look(self, page):
        self.scrapes += 1
        for (name, pairs), value in page.samples.items():
            family = re.sub(r"_(bucket|sum|count)\Z", "", name)
            kind = page.types.get(name) or page.types.get(family)
            # process_* are those of living processes, by their definition.
            if kind not in ("counter", "histogram") or name.startswith("process_"):
                continue
            before = self.last.get((name, pairs), 0)
            if value < before:
                self.back.append(f"{name}{dict(pairs)}: {before} -> {value}")
            self.last[(name, pairs)] = value


def test_counters_never_go_back_and_gauges_return_to_zero(start):
    s = start(responders=2)
    scraper = Scraper(s)
    scraper.start()
    try:
        ready = threading.Barrier(UPLOADS + 1)
        may_end = threading.Event()
        uploaders = [Uploader(s, ready, may_end) for _ in range(UPLOADS)]
        for u in uploaders:
            u.start()
        ready.wait(60)
        for _ in range(RESTARTS):
            seen = scraper.scrapes
            killed = s.kill_responders()
            proc.until(lambda: set(s.responder_pids()) - set(killed), "new responders", 10)
            proc.until(lambda: scraper.scrapes > seen, "a scrape after the restart", 20)
        may_end.set()
        for u in uploaders:
            u.join()
        assert [u.fault for u in uploaders if u.fault] == []
    finally:
        scraper.done.set()
        scraper.join()
    assert scraper.back == []
    s.await_service()

    def idle():
        m = Metrics(s.get("/metrics").text)
        gauges = ("dex_server_active_uploads", "dex_server_active_deliveries")
        # The scrape itself is one request on one thread.
        scrape = ("dex_server_connections_open", "dex_responder_threads_busy")
        values = {g: m.get(g) for g in gauges if m.has(g)} | {g: m.get(g) - 1 for g in scrape}
        return values if not any(values.values()) else None

    proc.until(idle, "all gauges at zero", 10)
    m = Metrics(s.get("/metrics").text)
    assert m.get("dex_responder_restarts_total") >= RESTARTS
    assert m.get("tusd_uploads_created") >= UPLOADS - RESTARTS
    # One that died between its commit and its count may miss in the counters, never in the state.
    assert m.get("tusd_uploads_finished") > UPLOADS * 0.9
