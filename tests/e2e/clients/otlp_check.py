# SPDX-License-Identifier: Apache-2.0
"""Standard input: a JSON list of OTLP requests. Each must be what the published protobuf schema
describes, without members that it does not know; 1 and the reason where one is not."""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

for request in json.load(sys.stdin):
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP's JSON has hex where protobuf's own has base64.
                for name in {"traceId", "spanId", "parentSpanId"} & set(span):
                    raw = bytes.fromhex(span[name])
                    assert len(raw) == (16 if name == "traceId" else 8), span
                    span[name] = base64.b64encode(raw).decode()
    json_format.ParseDict(request, ExportTraceServiceRequest())
