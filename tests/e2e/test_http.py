# SPDX-License-Identifier: Apache-2.0
"""Everything beside the tus paths: /, /info, /route, /health, /version, /metrics; CORS."""

import json
import os
import shutil
import subprocess

from lib import http, proc, servers
from lib.check import RFC3339, UNKNOWN_ID, expect
from lib.manifests import manifest
from lib.prom import Metrics
from lib.tus import payload, upload_id

SERVERS = ("nginx", "apache", "cgi")


def as_json(r):
    expect(r, 200)
    assert r.get("Content-Type", "").split(";")[0] == "application/json", r
    return json.loads(r.body)


def test_root(stack):
    body = as_json(stack.get("/"))
    assert RFC3339.match(body.pop("server_time"))
    assert body == {"system": "DEX", "dex_product": "UPLOAD API", "dex_app": "upload server"}


def test_version(stack):
    body = as_json(stack.get("/version"))
    assert sorted(body) == ["git_short_sha", "latest_release_version", "repo"]
    assert all(isinstance(v, str) and v for v in body.values()), body


def test_health(stack):
    body = as_json(stack.get("/health"))
    assert body["status"] == "UP", body
    assert len(body["services"]) >= 6, "storage, state and four targets"
    for service in body["services"]:
        assert sorted(service) == ["health_issue", "service", "status"], service
        assert service["status"] == "UP" and service["health_issue"] == "None reported", service


def test_health_tells_what_is_down(start):
    s = start()
    os.makedirs(s.targets, exist_ok=True)
    os.chmod(s.targets, 0o777)  # CGI runs as the web server's user
    shutil.rmtree(f"{s.targets}/ehdi", ignore_errors=True)
    servers.write(f"{s.targets}/ehdi", "in the way")

    def degraded():
        body = as_json(s.get("/health"))
        return body if body["status"] == "DEGRADED" else None

    body = proc.until(degraded, "/health notices within the time of its cache", 20, 0.2)
    down = [x for x in body["services"] if x["status"] == "DOWN"]
    assert len(down) == 1 and "ehdi" in down[0]["service"], body
    assert down[0]["health_issue"] != "None reported", body


def test_info_life(stack):
    t = stack.tus
    path = t.new(10)
    info = stack.info(path)
    assert list(info) == ["manifest", "file_info", "upload_status", "deliveries"], info
    assert info["upload_status"]["status"] == "Initiated", info
    assert info["file_info"] is None and info["deliveries"] is None, info
    assert info["manifest"]["upload_id"] == upload_id(path), info
    t.patch(path, 0, b"abc")
    info = stack.info(path)
    assert info["upload_status"]["status"] == "In Progress", info
    assert info["file_info"]["size_bytes"] == 3, info
    t.patch(path, 3, b"defghij")
    info = stack.info(path)
    assert info["upload_status"]["status"] == "Complete", info
    assert info["file_info"]["size_bytes"] == 10 and info["deliveries"] is None, info
    stack.deliver_all()
    (delivery,) = stack.info(path)["deliveries"]
    assert list(delivery) == ["status", "name", "location", "delivered_at", "issues"], delivery
    assert delivery["status"] == "SUCCESS" and RFC3339.match(delivery["delivered_at"]), delivery


def test_info_of_an_unknown_upload(stack):
    for name in (UNKNOWN_ID, "x", UNKNOWN_ID.upper()):
        r = expect(stack.get(f"/info/{name}"), 404)
        assert r.get("Content-Type", "").startswith("text/plain"), r


def test_route(stack):
    path = stack.tus.upload(b"abc")
    uid = upload_id(path)
    for body in (
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"target":5}',
        b'{"target":"nowhere"}',
        b'{"target":"ncird"}',
    ):
        expect(stack.request("POST", f"/route/{uid}", body=body), 400)
    expect(stack.get(f"/route/{uid}"), 400)
    good = b'{"target":"edav"}'
    expect(stack.request("POST", f"/route/{UNKNOWN_ID}", body=good), 404)
    unfinished = stack.tus.new(5)
    expect(stack.request("POST", f"/route/{upload_id(unfinished)}", body=good), 409)
    stack.deliver_all()
    r = expect(stack.request("POST", f"/route/{uid}", body=good), 200)
    assert r.text.strip() == uid and r.get("Content-Type", "").startswith("text/plain"), r
    stack.deliver_all()
    assert len(stack.reports(path, "blob-file-copy")) == 2
    assert len(stack.events(path)) == 2


def test_route_of_a_large_body(stack):
    uid = upload_id(stack.tus.upload(b"abc"))
    body = b'{"target":"' + b"x" * 500000 + b'"}'
    expect(stack.request("POST", f"/route/{uid}", body=body), (400, 413))


def test_unknown_paths(stack):
    for path in (
        "/nothing",
        "/info",
        "/info/",
        "/filesx",
        "/health/x",
        "/favicon.ico",
        "/status/x",
    ):
        expect(stack.get(path), 404)


def test_wrong_methods(stack):
    for path, method in (
        ("/health", "POST"),
        ("/version", "DELETE"),
        ("/", "PUT"),
        ("/metrics", "PATCH"),
    ):
        r = expect(stack.request(method, path, body=b""), 405)
        assert "GET" in r.tokens("Allow"), r


def test_strange_requests(stack):
    for path in ("/files/%00", "/files/%zz", "/info/%2e%2e%2f", "/files/" + "x" * 3000, "/?x=%ff"):
        r = stack.get(path)
        assert r.status in (200, 400, 404, 405, 414), r
    expect(stack.request("BREW", "/files"), (400, 404, 405, 501))
    assert stack.get("/").status == 200


def test_metrics(stack):
    t = stack.tus

    def metrics():
        r = expect(stack.get("/metrics"), 200)
        assert r.get("Content-Type", "").startswith("text/plain; version=0.0.4"), r
        return Metrics(r.text)

    before = metrics()
    path = t.upload(payload(1000))
    t.new(5)
    t.delete(t.new(5))
    t.patch(path, 0, b"x")
    stack.deliver_all()
    after = metrics()

    def grown(name, **labels):
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown("tusd_uploads_created") == 3
    assert grown("tusd_uploads_finished") == 1
    assert grown("tusd_uploads_terminated") == 1
    assert grown("tusd_bytes_received") >= 1000
    assert grown("tusd_requests_total", method="PATCH") == 2
    assert grown("tusd_errors_total", status="409") == 1
    assert grown("http_requests_total", method="POST", code="201") == 3
    assert grown("upload_manifest_count", data_stream_id="dextesting", sender_id="test-sender") == 3
    assert grown("dex_server_deliveries_total", target="edav", result="completed") >= 1
    assert grown("dex_server_deliveries_total", target="edav", result="started") >= 1
    assert grown("dex_server_events_total", type="FileReady", op="publish") >= 1
    for name, kind in {
        "http_requests_total": "counter",
        "dex_server_connections_open": "gauge",
        "dex_server_active_uploads": "gauge",
        "upload_manifest_count": "counter",
        "tusd_requests_total": "counter",
        "tusd_errors_total": "counter",
        "tusd_bytes_received": "counter",
        "tusd_uploads_created": "counter",
        "dex_server_upload_speed_bytes_per_second": "histogram",
        "dex_server_delivery_speed_bytes_per_second": "histogram",
        "dex_server_active_deliveries": "gauge",
        "dex_server_deliveries_total": "counter",
        "dex_server_queue_messages": "gauge",
        "dex_server_disk_free_bytes": "gauge",
        "dex_server_disk_size_bytes": "gauge",
        "dex_responder_processes": "gauge",
        "dex_responder_restarts_total": "counter",
        "dex_responder_threads_busy": "gauge",
        "process_resident_memory_bytes": "gauge",
    }.items():
        assert after.types.get(name) == kind, (name, after.types.get(name))
    assert 0 < after.get("dex_server_disk_free_bytes") < after.get("dex_server_disk_size_bytes")
    bounds = {
        float(dict(pairs)["le"])
        for (n, pairs) in after.samples
        if n == "dex_server_upload_speed_bytes_per_second_bucket" and dict(pairs)["le"] != "+Inf"
    }
    assert len(bounds) == 20 and min(bounds) == 10, sorted(bounds)


def test_metrics_promtool(stack):
    """The same page through the tool of the Prometheus project."""
    text = stack.get("/metrics").body
    r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    # Names that end otherwise than they should are the contract's.
    complaints = [x for x in r.stderr.decode().splitlines() if not x.endswith("suffix")]
    assert r.returncode in (0, 3) and not complaints, r.stderr


def test_metrics_survive_a_responder(start, server):
    if server != "nginx":
        return
    s = start()
    s.tus.upload(b"abc")
    killed = s.kill_responders()
    proc.until(lambda: set(s.responder_pids()) - set(killed), "a new responder", 5)
    s.await_service()
    m = Metrics(s.get("/metrics").text)
    assert m.get("tusd_uploads_finished") == 1
    assert m.get("dex_responder_restarts_total") >= 1
    assert m.get("dex_server_connections_open") <= 1, "the gauge drifted"


def test_metrics_label_values_are_bounded(start, server):
    if server != "nginx":
        return
    s = start()
    for n in range(30):
        s.tus.create(1, manifest(sender_id=f'sender-{n}\n"\\'))
    Metrics(s.get("/metrics").text)


def test_cors_of_named_origins(start):
    s = start(settings={"DEX_CORS_ORIGINS": "https://a.example,https://b.example"})
    r = s.tus.options(
        headers={"Origin": "https://b.example", "Access-Control-Request-Method": "POST"}
    )
    expect(r, (200, 204), Access_Control_Allow_Origin="https://b.example")
    assert "origin" in [v.lower() for v in r.tokens("Vary")], r
    r = s.tus.options(
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    expect(r, (200, 204), Access_Control_Allow_Origin=None)


def test_request_id_comes_back_in_the_log(stack):
    stack.get("/version", {"X-Request-ID": "trace-me-4711"})
    proc.until(lambda: "trace-me-4711" in stack.logs(), "the request is logged", 5)


def test_pipelined_requests(stack):
    with http.Conn(stack.addr) as c:
        for _ in range(3):
            c.head("GET", f"{stack.prefix}/version", {})
        for _ in range(3):
            expect(c.response(), 200)
