# SPDX-License-Identifier: Apache-2.0
"""A valid sender manifest of each of the nine data streams, and how they travel in a header."""

import base64

_IZGW = {
    "sender_id": "IZGW",
    "data_producer_id": "GAA",
    "jurisdiction": "GAA",
    "meta_ext_objectkey": "key-1",
    "meta_ext_submissionperiod": "2026-01",
    "meta_ext_sourceversion": "V2024-09-04",
    "meta_username": "somebody",
}

# (stream, route) -> (target, manifest without the two keys and the file's name)
STREAMS = {
    ("covid-all-monthly-vaccination", "csv"): ("ncird", _IZGW),
    ("dextesting", "testevent1"): (
        "edav",
        {"sender_id": "test-sender", "data_producer_id": "test-producer", "jurisdiction": "GAA"},
    ),
    ("ehdi", "csv"): (
        "ehdi",
        {"sender_id": "RI-PHA", "data_producer_id": "RI-PHA", "jurisdiction": "RI"},
    ),
    ("eicr", "fhir"): (
        "eicr",
        {
            "sender_id": "APHL",
            "meta_ext_objectkey": "key-1",
            "meta_ext_file_timestamp": "2026-01-02",
        },
    ),
    ("generic-immunization", "csv"): (
        "ncird",
        {**_IZGW, "meta_ext_file_timestamp": "2026-01-02"},
    ),
    ("influenza-vaccination", "csv"): ("ncird", _IZGW),
    ("pulsenet", "localsequencefile"): (
        "edav",
        {"sender_id": "PulseNet-App", "data_producer_id": "lab", "jurisdiction": "GAA"},
    ),
    ("routine-immunization", "other"): ("ncird", _IZGW),
    ("rsv-prevention", "csv"): ("ncird", _IZGW),
}


def manifest(stream="dextesting", route="testevent1", filename="data.csv", **more):
    """A valid manifest; a keyword given as None takes that field away."""
    fields = {
        "data_stream_id": stream,
        "data_stream_route": route,
        "received_filename": filename,
        **STREAMS[(stream, route)][1],
        **more,
    }
    return {k: v for k, v in fields.items() if v is not None}


def encode(fields):
    """Upload-Metadata of a dict; a value of None makes a key without a value."""

    def pair(key, value):
        if value is None:
            return key
        raw = value if isinstance(value, bytes) else value.encode()
        return f"{key} {base64.b64encode(raw).decode()}"

    return ",".join(pair(k, v) for k, v in fields.items())


def decode(header):
    out = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        out[key] = base64.b64decode(value).decode()
    return out
