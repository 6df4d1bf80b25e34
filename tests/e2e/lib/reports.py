# SPDX-License-Identifier: Apache-2.0
"""What every report and event must look like: the schemas, and what a schema cannot say."""

import json
import os

import jsonschema

from .check import RFC3339
from .servers import ROOT


def _validator(name):
    with open(f"{ROOT}/tests/schema/{name}.json") as f:
        return jsonschema.Draft7Validator(json.load(f))


REPORT, EVENT = _validator("report"), _validator("event")
ENVELOPE = [
    "report_schema_version", "upload_id", "sender_id", "data_stream_id", "data_stream_route",
    "jurisdiction", "dex_ingest_datetime", "content_type", "disposition_type", "stage_info",
    "content",
]  # fmt: skip
STAGE = [
    "service", "action", "version", "status", "issues", "start_processing_time",
    "end_processing_time",
]  # fmt: skip
ACTIONS = (
    "metadata-transform", "metadata-verify", "upload-started", "upload-status", "upload-completed",
    "blob-file-copy",
)  # fmt: skip


def _faults(validator, value):
    return [f"{'/'.join(map(str, e.path))}: {e.message}"[:500] for e in validator.iter_errors(value)]


def faults_in(folder):
    """What is wrong with the reports and events in the files of a folder."""
    for entry in sorted(os.scandir(folder), key=lambda e: e.name) if os.path.isdir(folder) else ():
        action = entry.name[37:]
        if action not in (*ACTIONS, "FileReady"):
            continue
        with open(entry.path) as f:
            for line in f:
                # A host that went down in the middle of a line leaves it cut; it is sent again.
                if not line.endswith("\n") or not line.strip():
                    continue
                value = json.loads(line)
                found = _faults(EVENT if action == "FileReady" else REPORT, value)
                if action != "FileReady" and value["stage_info"]["action"] != action:
                    found.append("is in the file of another action")
                if value["upload_id"] != entry.name[:36]:
                    found.append("is in the file of another upload")
                yield from (f"{entry.name}: {fault}" for fault in found)


def in_order(wanted, got):
    """Members stand in the order of the schema; others may stand between."""
    return [k for k in got if k in wanted] == wanted


def validate(report, action, manifest=None):
    """AssertionError with the report when a rule is broken."""
    faults = _faults(REPORT, report)
    assert not faults, f"{faults}: {report}"
    assert in_order(ENVELOPE, list(report)), f"envelope: {list(report)}"
    stage, content = report["stage_info"], report["content"]
    assert in_order(STAGE, list(stage)), f"stage_info: {list(stage)}"
    assert stage["action"] == content["content_schema_name"] == action, report
    for when in (report["dex_ingest_datetime"], stage["start_processing_time"]):
        assert RFC3339.match(when), report
    assert stage["start_processing_time"] <= stage["end_processing_time"], report
    if action == "upload-status":
        assert content["tguid"] == report["upload_id"], report
    if manifest is not None:
        for key in ("sender_id", "data_stream_id", "data_stream_route", "jurisdiction"):
            assert report[key] == manifest.get(key, ""), f"{key}: {report}"
    return report
