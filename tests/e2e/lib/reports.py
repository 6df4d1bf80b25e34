# SPDX-License-Identifier: Apache-2.0
"""What every report must look like (docs of the Processing Status API that reads them)."""

from .check import RFC3339, UUID

ENVELOPE = [
    "report_schema_version", "upload_id", "sender_id", "data_stream_id", "data_stream_route",
    "jurisdiction", "dex_ingest_datetime", "content_type", "disposition_type", "stage_info",
    "content",
]  # fmt: skip
STAGE = [
    "service", "action", "version", "status", "issues", "start_processing_time",
    "end_processing_time",
]  # fmt: skip
CONTENT = {
    "metadata-transform": ["transforms"],
    "metadata-verify": ["filename", "metadata"],
    "upload-started": ["status"],
    "upload-status": ["filename", "tguid", "offset", "size"],
    "upload-completed": ["status"],
    "blob-file-copy": ["file_source_blob_url", "file_destination_blob_url", "destination_name"],
}
ACTIONS = list(CONTENT)


def in_order(wanted, got):
    """Members stand in the order of the schema; others may stand between."""
    return [k for k in got if k in wanted] == wanted


def validate(report, action, manifest=None):
    """AssertionError with the report when a rule is broken."""
    assert in_order(ENVELOPE, list(report)), f"envelope: {list(report)}"
    stage, content = report["stage_info"], report["content"]
    assert in_order(STAGE, list(stage)), f"stage_info: {list(stage)}"
    assert report["report_schema_version"] == "1.0.0", report
    assert UUID.match(report["upload_id"]), report
    assert report["content_type"] == "application/json", report
    assert RFC3339.match(report["dex_ingest_datetime"]), report
    replace = action == "upload-status"
    assert report["disposition_type"] == ("replace" if replace else "add"), report
    assert stage["service"] == "UPLOAD API" and stage["action"] == action, report
    assert content["content_schema_name"] == action, report
    assert content["content_schema_version"] == "1.0.0", report
    release, _, sha = stage["version"].rpartition("_")
    assert release and sha, f"version: {stage['version']}"
    assert stage["status"] in ("SUCCESS", "FAILURE"), report
    for issue in stage["issues"] or []:
        assert issue["level"] in ("ERROR", "WARNING") and issue["message"], report
    assert stage["issues"] is None or stage["issues"], "an empty list of issues"
    if stage["status"] == "FAILURE":
        assert stage["issues"], report
    for key in ("start_processing_time", "end_processing_time"):
        assert RFC3339.match(stage[key]), f"{key}: {stage[key]}"
    assert stage["start_processing_time"] <= stage["end_processing_time"], report
    for key in CONTENT[action]:
        assert key in content, f"content has no {key}: {report}"
    if action in ("upload-started", "upload-completed"):
        assert content["status"] == "SUCCESS", report
    if action == "upload-status":
        assert content["tguid"] == report["upload_id"], report
        assert isinstance(content["offset"], int) and isinstance(content["size"], int), report
    if manifest is not None:
        for key in ("sender_id", "data_stream_id", "data_stream_route", "jurisdiction"):
            assert report[key] == manifest.get(key, ""), f"{key}: {report}"
    return report
