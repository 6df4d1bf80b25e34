# SPDX-License-Identifier: Apache-2.0
"""traceparent on its way through the service, and spans at a collector."""

import re
import socket

from lib import proc
from lib.check import UNKNOWN_ID, expect
from lib.introspection import Introspection
from lib.oidc import auth
from lib.otlp import Collector
from lib.tus import payload, upload_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def exporting(collector, **more):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20a%2Cb,X-Tenant=lab",
        **more,
    }


def one(spans, name, **attributes):
    found = [
        s
        for s in spans
        if s["name"] == name
        and all(s["attributes"].get(k.replace("__", ".")) == v for k, v in attributes.items())
    ]
    assert len(found) == 1, (name, attributes, spans)
    return found[0]


def test_an_upload_and_its_delivery_are_traced(start, server):
    with Collector() as c:
        s = start(settings=exporting(c))
        data = payload(3000)
        r = s.tus.create(len(data), headers={"traceparent": PARENT, "tracestate": "lab=7"})
        path = s.tus.path(expect(r, 201))
        uid = upload_id(path)
        expect(s.tus.patch(path, 0, data), 204)
        expect(s.tus.patch(path, 7, b"x"), 409)
        expect(s.get("/nowhere/at/all"), 404)
        sweep = s.deliver("--verbose")
        s.stop_responders()
        spans = c.spans()
    for headers, where, _ in c.requests:
        assert where == "/v1/traces", where
        assert headers["Authorization"] == "Bearer a,b" and headers["X-Tenant"] == "lab", headers
        assert headers["Content-Type"] == "application/json", headers
        assert "traceparent" not in headers, "sending spans is no part of what they tell"
    created = one(spans, "POST /files/")
    assert created["traceId"] == TRACE and created["parentSpanId"] == SPAN, created
    assert created["traceState"] == "lab=7" and created["kind"] == 2, created
    assert created["attributes"]["dex.upload_id"] == uid, created
    own = uid.replace("-", "")
    patched = one(spans, "PATCH /files/{id}", http__response__status_code=204)
    assert patched["traceId"] == own and "parentSpanId" not in patched, patched
    assert patched["attributes"]["http.request.body.size"] == len(data), patched
    assert int(patched["endTimeUnixNano"]) >= int(patched["startTimeUnixNano"]), patched
    refused = one(spans, "PATCH /files/{id}", http__response__status_code=409)
    assert "status" not in refused, "a client's mistake is no failure of the server's"
    assert refused["attributes"]["error.type"] == "ERR_MISMATCHED_OFFSET", refused
    one(spans, "GET", http__response__status_code=404)
    delivered = one(spans, "deliver")
    assert delivered["traceId"] == own and delivered["kind"] == 5, delivered
    assert delivered["attributes"]["dex.target"] == "edav", delivered
    assert delivered["attributes"]["dex.size"] == len(data), delivered
    for span in spans:
        assert span["resource"]["service.name"] == "dex-upload", span
        assert span["resource"]["deployment.environment"] == "DEV", span
    # The log says the same.
    lines = [x for x in s.logs().splitlines() if 'msg="request"' in x and "method=POST" in x]
    assert len(lines) == 1 and f"trace_id={TRACE}" in lines[0], lines
    assert re.search(f'msg="delivered".*trace_id={own}', sweep.stderr), sweep.stderr


def test_a_failed_delivery_says_why(start):
    with Collector() as c:
        s = start(settings=exporting(c))
        path = s.tus.upload(b"abc")
        with open(s.targets, "w"):
            pass  # no directory can be made there
        s.deliver()
        (span,) = [x for x in c.spans() if x["name"] == "deliver"]
    assert span["status"]["code"] == 2 and span["status"]["message"], span
    assert span["attributes"]["dex.upload_id"] == upload_id(path), span


def test_a_trace_that_is_not_sampled_is_not_sent(start):
    with Collector() as c:
        s = start(settings=exporting(c))
        s.tus.head(f"/files/{UNKNOWN_ID}", {"traceparent": PARENT[:-1] + "0"})
        s.tus.head(f"/files/{UNKNOWN_ID}")
        s.stop_responders()
        (span,) = [x for x in c.spans() if x["name"] == "HEAD /files/{id}"]
    assert span["traceId"] == UNKNOWN_ID.replace("-", ""), span


def test_a_cgi_program_sends_its_span(start):
    with Collector() as c:
        s = start(server="cgi", settings=exporting(c))
        s.tus.head(s.tus.new(5), {"traceparent": PARENT})
        proc.until(lambda: len(c.requests) >= 2, "spans of two processes", 10)
        span = one(c.spans(), "HEAD /files/{id}")
    assert span["traceId"] == TRACE and span["parentSpanId"] == SPAN, span


def test_a_busy_collector_is_asked_again(start):
    with Collector(answers=[503, 429]) as c:
        s = start(settings=exporting(c))
        s.tus.new(5)
        proc.until(lambda: c.requests, "the span arrives in the end", 20)
        one(c.spans(), "POST /files/")


def test_a_mute_collector_is_in_nobodys_way(start):
    """It takes connections and never answers: what waits is bounded, the rest is told and dropped."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:

        class Url:
            url = "http://127.0.0.1:%d" % mute.getsockname()[1]

        s = start(settings=exporting(Url))
        for _ in range(2700):
            with proc.within(4, "an answer"):  # the collector is given 5 s
                expect(s.get("/version"), 200)
        path = s.tus.upload(payload(1000))
        s.deliver_all()
        assert s.info(path)["deliveries"][0]["status"] == "SUCCESS"
        proc.until(lambda: "spans were dropped" in s.logs(), "the log tells", 20)
        assert s.stop_responders() == 0


def test_outgoing_calls_carry_the_trace(start):
    headers = {"traceparent": PARENT, "tracestate": "lab=7"}
    with Introspection() as i, Collector() as c:
        for settings in (i.settings, exporting(c, **i.settings)):
            s = start(settings=settings)
            expect(s.tus.head(f"/files/{UNKNOWN_ID}", {**headers, **auth("opaque")}), 404)
            expect(s.tus.head(f"/files/{UNKNOWN_ID}", auth("other")), 404)
            s.stop_responders()
        spans = c.spans()
    plain, none, traced, own = i.seen
    assert plain["traceparent"] == PARENT, "who makes no span passes on what came"
    assert plain["tracestate"] == traced["tracestate"] == "lab=7"
    assert "traceparent" not in none
    span = one([x for x in spans if x["traceId"] == TRACE], "HEAD /files/{id}")
    assert traced["traceparent"] == f"00-{TRACE}-{span['spanId']}-01"
    assert own["traceparent"].startswith(f"00-{UNKNOWN_ID.replace('-', '')}-")


def test_a_bad_endpoint_is_a_problem_of_the_settings(start):
    s = start()
    r = s.check("--check-config", OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4318")
    assert r.returncode == 2 and "OTEL_EXPORTER_OTLP_ENDPOINT" in r.stderr, r
    r = s.check("--check-config", OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20s3cret")
    assert r.returncode == 0 and "s3cret" not in r.stdout + r.stderr, r
