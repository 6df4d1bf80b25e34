# SPDX-License-Identifier: Apache-2.0
"""Sender manifests: which configuration, which checks, which strings."""

import json
import os

from lib import proc, servers
from lib.check import UUID, expect
from lib.manifests import STREAMS, encode, manifest


def errors(stack, fields):
    """validation_errors of a refused manifest; nothing else may have been stored."""
    r = expect(stack.tus.create(5, fields), 400)
    assert r.get("Content-Type", "").startswith("application/json"), r
    assert r.get("Tus-Resumable") == "1.0.0" and r.get("Location") is None, r
    body = json.loads(r.body)
    assert sorted(body) == ["upload_id", "validation_errors"] and UUID.match(
        body["upload_id"]
    ), body
    expect(stack.tus.head(f"{stack.tus.files}/{body['upload_id']}"), 404)
    return body["validation_errors"]


def test_every_stream_accepts_its_manifest(stack):
    for stream, route in STREAMS:
        path = stack.tus.new(5, manifest(stream, route))
        got = stack.info(path)["manifest"]
        assert got["data_stream_id"] == stream and got["data_stream_route"] == route


def test_names_are_compared_in_lower_case(stack):
    path = stack.tus.new(5, manifest("pulsenet", "localsequencefile"))
    assert path
    got = errors(
        stack,
        {**manifest("pulsenet", "localsequencefile"), "data_stream_route": "LocalSequenceFile"},
    )
    # The configuration is found; its allowed values are compared as written.
    assert got == [
        "validation failure",
        "data_stream_route had disallowed value LocalSequenceFile",
    ], got


def test_missing_stream_keys(stack):
    assert errors(stack, manifest(data_stream_id=None))[-1] == "field data_stream_id was missing"
    assert (
        errors(stack, manifest(data_stream_route=None))[-1] == "field data_stream_route was missing"
    )


def test_no_metadata_at_all(stack):
    expect(stack.tus.create(5, None), 400)


def test_no_configuration(stack):
    got = errors(stack, {**manifest(), "data_stream_id": "nothing"})
    assert got == [
        "open nothing_testevent1.json: no such file or directory",
        "validation failure",
        "manifest validation config file not found",
    ], got


def test_a_name_that_leaves_the_directory(stack):
    for value in ("../v2/dextesting", "a/b", "a\x01b", "..", "/etc/passwd"):
        r = expect(stack.tus.create(5, {**manifest(), "data_stream_id": value}), 400)
        assert servers.ROOT not in r.text and "/etc" not in r.text, f"a path is echoed: {r}"


def test_all_failures_are_told_in_file_order(stack):
    with open(f"{servers.ROOT}/upload-configs/v2/ehdi_csv.json") as f:
        order = [x["field_name"] for x in json.load(f)["metadata_config"]["fields"]]
    fields = manifest("ehdi", "csv", sender_id="nobody", jurisdiction=None, data_producer_id="x")
    wanted = []
    for name in order:
        if name == "sender_id":
            wanted += ["validation failure", "sender_id had disallowed value nobody"]
        if name == "data_producer_id":
            wanted += ["validation failure", "data_producer_id had disallowed value x"]
        if name == "jurisdiction":
            wanted += ["validation failure", "field jurisdiction was missing"]
    assert errors(stack, fields) == wanted


def test_every_required_field_of_every_stream(stack):
    for stream, route in STREAMS:
        with open(f"{servers.ROOT}/upload-configs/v2/{stream}_{route}.json") as f:
            for field in json.load(f)["metadata_config"]["fields"]:
                name = field["field_name"]
                if name in ("data_stream_id", "data_stream_route"):
                    continue
                full = manifest(stream, route)
                full.pop(name, None)
                if field.get("required"):
                    got = errors(stack, full)
                    assert got == ["validation failure", f"field {name} was missing"], (stream, got)
                else:
                    stack.tus.new(1, full)
                if field.get("allowed_values"):
                    full[name] = "certainly not"
                    got = errors(stack, full)
                    assert got[-1] == f"{name} had disallowed value certainly not", (stream, got)


def test_file_names(stack):
    for key in ("filename", "original_filename", "meta_ext_filename", "received_filename"):
        for bad in ("a/b.csv", "..", ".", "a\\b", "x" * 256, "a\nb"):
            got = errors(stack, {**manifest(), key: bad})
            assert got == [f"invalid character found in {bad} validation failure"], (key, bad, got)
    stack.tus.new(5, manifest(filename="x" * 251 + ".csv"))


def test_file_name_order(stack):
    both = {**manifest(), "filename": "first.csv", "original_filename": "second.csv"}
    path = stack.tus.new(5, both)
    assert stack.reports(path, "metadata-verify")[0]["content"]["filename"] == "first.csv"


def test_added_keys_overwrite(stack):
    sent = {**manifest(), "upload_id": "mine", "dex_ingest_datetime": "never"}
    path = stack.tus.new(5, sent)
    got = stack.info(path)["manifest"]
    assert got["upload_id"] == path.rsplit("/", 1)[1] and got["dex_ingest_datetime"] != "never", got


def test_versions(stack):
    stack.tus.new(5, manifest(version="2.0"))
    for value in ("3.0", "2", "x"):
        got = errors(stack, manifest(version=value))
        assert got[-1].endswith(f"unsupported version {value} validation failure"), got


V1 = {
    "meta_destination_id": "dextesting",
    "meta_ext_event": "testEvent1",
    "meta_ext_source": "v1-sender",
    "meta_ext_entity": "GAA",
    "meta_ext_filename": "old.csv",
}


def test_a_v1_manifest_is_hydrated(stack):
    with open(f"{servers.ROOT}/upload-configs/v1/dextesting-testevent1.json") as f:
        fields = json.load(f)["metadata_config"]["fields"]
    sent = dict(V1)
    for field in fields:
        allowed = field.get("allowed_values")
        if field.get("required") and field["field_name"] not in sent:
            sent[field["field_name"]] = allowed[0] if allowed else "x"
        elif allowed and field["field_name"] in sent:
            sent[field["field_name"]] = allowed[0]
    r = stack.tus.create(5, sent)
    expect(r, 201)
    path = stack.tus.path(r)
    got = stack.info(path)["manifest"]
    assert got["version"] == "2.0" and got["received_filename"] == "old.csv", got
    assert got["data_stream_id"] == "dextesting" and got["meta_destination_id"] == "dextesting", got
    assert len(stack.reports(path, "metadata-transform")) == 2
    expect(stack.tus.patch(path, 0, b"abcde"), 204)
    assert [e["deliver_target"] for e in stack.events(path)] == ["edav"]


def test_v1_errors_are_told(stack):
    got = errors(stack, {"meta_destination_id": "dextesting", "meta_ext_event": "testevent1"})
    assert "validation failure" in got, got
    got = errors(stack, {"meta_destination_id": "nothing", "meta_ext_event": "here"})
    assert "open nothing-here.json: no such file or directory" in got, got


def test_a_changed_configuration_is_noticed(start):
    configs = None
    s = start(settings={})
    configs = f"{s.dir}/configs"
    os.mkdir(configs)
    field = {
        "field_name": "colour",
        "required": True,
        "description": "x",
        "allowed_values": ["red"],
    }
    name = f"{configs}/paint_wall.json"
    write_config(name, [field])
    s2 = start(settings={"UPLOAD_CONFIG_PATH": configs, "PAINT_COLOUR": "green"})
    sent = {"data_stream_id": "paint", "data_stream_route": "wall", "colour": "blue"}
    assert errors(s2, sent)[-1] == "colour had disallowed value blue"
    write_config(name, [{**field, "allowed_values": ["red", "blue", "$PAINT_COLOUR"]}])
    proc.until(
        lambda: s2.tus.create(5, sent).status == 201, "the new configuration is in force", 15, 0.2
    )
    expect(s2.tus.create(5, {**sent, "colour": "green"}), 201)
    # A broken version is logged, and the last good one stays.
    servers.write(name, "{broken")
    os.utime(name, (1, 1))
    proc.until(
        lambda: s2.tus.create(5, sent).status == 201 and "paint_wall.json" in s2.logs(),
        "the broken configuration is logged", 15, 0.2,
    )  # fmt: skip
    assert errors(s2, {**sent, "colour": "pink"})[-1] == "colour had disallowed value pink"


def write_config(name, fields):
    whole = {"metadata_config": {"version": "2.0", "fields": fields}, "copy_config": {}}
    servers.write(name + ".new", json.dumps(whole))
    os.rename(name + ".new", name)


def test_header_errors_name_the_pair(stack):
    r = expect(stack.tus.create(5, encode(manifest()) + ",broken ###"), 400)
    assert "broken" in r.text, r
