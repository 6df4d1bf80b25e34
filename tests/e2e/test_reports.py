# SPDX-License-Identifier: Apache-2.0
"""Reports and events: all six actions, in success and failure."""

import json
import os
import stat

from lib import proc
from lib.check import RFC3339, UUID, expect
from lib.manifests import manifest
from lib.reports import REPORT, validate
from lib.tus import payload, upload_id


def one(stack, path, action, m=None):
    got = stack.reports(path, action)
    assert len(got) == 1, f"{len(got)} reports {action}: {got}"
    return validate(got[0], action, m)


def test_creation(stack):
    m = manifest()
    path = stack.tus.new(10, m)
    uid = upload_id(path)
    transform = one(stack, path, "metadata-transform")
    ingest = transform["dex_ingest_datetime"]
    assert transform["content"]["transforms"] == [
        {"action": "update", "field": "ID", "value": uid},
        {"action": "append", "field": "dex_ingest_datetime", "value": ingest},
        {"action": "append", "field": "upload_id", "value": uid},
    ]
    verify = one(stack, path, "metadata-verify", m)
    assert verify["stage_info"]["status"] == "SUCCESS" and verify["stage_info"]["issues"] is None
    assert verify["content"]["filename"] == "data.csv"
    assert verify["content"]["metadata"] == {**m, "upload_id": uid, "dex_ingest_datetime": ingest}
    one(stack, path, "upload-started", m)
    status = one(stack, path, "upload-status", m)
    assert status["content"]["offset"] == 0 and status["content"]["size"] == 10
    assert status["content"]["filename"] == "data.csv"
    assert stack.reports(path, "upload-completed") == []


def test_the_schema_finds_what_a_reader_would_refuse(stack):
    path = stack.tus.new(10)
    good = one(stack, path, "upload-status")
    for at, value in (
        (("upload_id",), "x"),
        (("dex_ingest_datetime",), ""),
        (("disposition_type",), "add"),
        (("stage_info", "status"), "FAILURE"),
        (("stage_info", "issues"), []),
        (("content", "tguid"), None),
        (("content", "offset"), "0"),
        (("content", "content_schema_name"), "upload-started"),
    ):
        bad = json.loads(json.dumps(good))
        place = bad
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] = value
        assert not REPORT.is_valid(bad), (at, value)
    for key in ("sender_id", "stage_info", "content"):
        assert not REPORT.is_valid({k: v for k, v in good.items() if k != key}), key


def test_the_manifest_keeps_its_order(stack):
    m = {"zebra": "1", **manifest(), "alpha": "2"}
    path = stack.tus.new(10, m)
    got = list(one(stack, path, "metadata-verify")["content"]["metadata"])
    assert [k for k in got if k in m] == list(m), got


def test_a_rejected_manifest(stack):
    m = manifest(sender_id=None, jurisdiction=None)
    r = expect(stack.tus.create(10, m), 400)
    body = json.loads(r.body)
    uid = body["upload_id"]
    one(stack, uid, "metadata-transform", m)
    verify = one(stack, uid, "metadata-verify", m)
    assert verify["stage_info"]["status"] == "FAILURE"
    assert verify["stage_info"]["issues"] == [
        {"level": "ERROR", "message": "\n".join(body["validation_errors"])}
    ]
    for action in ("upload-started", "upload-status", "upload-completed"):
        assert stack.reports(uid, action) == [], action
    assert stack.events(uid) == []


def test_progress(stack):
    path = stack.tus.new(10)
    stack.tus.patch(path, 0, b"abc")
    status = one(stack, path, "upload-status")
    assert status["content"]["offset"] == 3, status
    stack.tus.patch(path, 3, b"defghij")
    status = one(stack, path, "upload-status")
    assert status["content"]["offset"] == 10 and status["stage_info"]["status"] == "SUCCESS"
    one(stack, path, "upload-completed", manifest())


def test_size_is_0_while_the_length_is_deferred(stack):
    path = stack.tus.new(headers={"Upload-Defer-Length": "1"})
    stack.tus.patch(path, 0, b"abc")
    assert one(stack, path, "upload-status")["content"]["size"] == 0
    stack.tus.patch(path, 3, b"", {"Upload-Length": "3"})
    assert one(stack, path, "upload-status")["content"]["size"] == 3


def test_progress_while_bytes_arrive(stack):
    path = stack.tus.new(10**6)
    with stack.tus.start_patch(path, 0, 10**6) as c:
        sent = 0

        def seen():
            nonlocal sent
            c.send(b"x" * 1000)
            sent += 1000
            got = stack.reports(path, "upload-status")
            return got and 0 < got[-1]["content"]["offset"] <= sent

        proc.until(seen, "an upload-status report during the PATCH", 10, 0.05)


def test_one_object_a_line(stack):
    path = stack.tus.upload(b"abc")
    for action in ("metadata-verify", "upload-status", "upload-completed"):
        name = f"{stack.reports_dir}/{upload_id(path)}_{action}"
        with open(name, "rb") as f:
            text = f.read()
        assert text.endswith(b"\n") and text.count(b"\n") == 1, (action, text)
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o640, oct(os.stat(name).st_mode)
    assert stat.S_IMODE(os.stat(stack.reports_dir).st_mode) == 0o750
    with os.scandir(stack.reports_dir) as found:
        odd = [e.name for e in found if e.is_file() and not UUID.match(e.name[:36])]
    assert not odd, f"neither report nor folder: {odd}"


def test_file_ready_event(stack):
    m = manifest(note="kept")
    path = stack.tus.upload(payload(100), m)
    (event,) = stack.events(path)
    assert list(event) == [
        "id", "type", "retry_count", "upload_id", "src_url", "path", "deliver_target", "Metadata",
    ]  # fmt: skip
    assert UUID.match(event["id"]) and event["type"] == "FileReady" and event["retry_count"] == 0
    assert event["upload_id"] == upload_id(path) and event["deliver_target"] == "edav"
    assert event["Metadata"]["note"] == "kept" and "dex_ingest_datetime" in event["Metadata"]
    year, month, day = event["Metadata"]["dex_ingest_datetime"][:10].split("-")
    assert event["path"] == f"{year}/{month}/{day}/data_{upload_id(path)}.csv", event
    assert event["src_url"].endswith(upload_id(path)), event


def test_delivery_success(stack):
    m = manifest()
    path = stack.tus.upload(b"abc", m)
    assert stack.reports(path, "blob-file-copy") == []
    stack.deliver_all()
    report = one(stack, path, "blob-file-copy", m)
    assert report["stage_info"]["status"] == "SUCCESS" and report["stage_info"]["issues"] is None
    content = report["content"]
    assert content["destination_name"] == "edav", content
    assert content["file_source_blob_url"].endswith(upload_id(path)), content
    assert content["file_destination_blob_url"].endswith(f"data_{upload_id(path)}.csv"), content
    assert content.get("size", 3) == 3, content
    stack.deliver_all()
    one(stack, path, "blob-file-copy", m)


def test_delivery_failure(start):
    s = start(settings={"EVENT_MAX_RETRY_COUNT": "1", "DEX_RETRY_DELAY": "10ms"})
    os.makedirs(s.targets)
    with open(f"{s.targets}/edav", "w") as f:
        f.write("a file where the directory should be")
    m = manifest()
    path = s.tus.upload(b"abc", m)

    def given_up():
        s.deliver()
        return s.reports(path, "blob-file-copy")

    proc.until(given_up, "the delivery is given up", 20, 0.1)
    report = one(s, path, "blob-file-copy", m)
    assert report["stage_info"]["status"] == "FAILURE", report
    assert report["content"]["file_destination_blob_url"] == "", report
    assert any(i["level"] == "ERROR" for i in report["stage_info"]["issues"]), report
    info = s.info(path)["deliveries"]
    assert info[0]["status"] == "FAILURE" and info[0]["issues"], info


def test_a_retried_delivery_tells_of_the_earlier_try(start):
    s = start(settings={"EVENT_MAX_RETRY_COUNT": "20", "DEX_RETRY_DELAY": "10ms"})
    os.makedirs(s.targets)
    obstacle = f"{s.targets}/edav"
    with open(obstacle, "w") as f:
        f.write("in the way")
    path = s.tus.upload(b"abc")
    assert s.deliver().returncode == 1
    assert s.reports(path, "blob-file-copy") == [], "a failed try that is repeated is no failure"
    os.unlink(obstacle)

    def delivered():
        s.deliver()
        return s.reports(path, "blob-file-copy")

    proc.until(delivered, "the repeated delivery succeeds", 20, 0.1)
    report = one(s, path, "blob-file-copy")
    assert report["stage_info"]["status"] == "SUCCESS", report
    assert {i["level"] for i in report["stage_info"]["issues"]} == {"WARNING"}, report


def test_times(stack):
    path = stack.tus.upload(b"abc")
    info = stack.info(path)
    assert RFC3339.match(info["file_info"]["updated_at"]), info
    assert RFC3339.match(info["upload_status"]["chunk_received_at"]), info


def test_other_folders(start):
    s = start(settings={})
    reports, events = f"{s.dir}/here/reports", f"{s.dir}/there/events"
    s2 = start(settings={"LOCAL_REPORTS_FOLDER": reports, "LOCAL_EVENTS_FOLDER": events})
    path = s2.tus.upload(b"abc")
    assert f"{upload_id(path)}_upload-completed" in os.listdir(reports)
    assert os.listdir(events) == [f"{upload_id(path)}_FileReady"]
