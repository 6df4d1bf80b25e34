# SPDX-License-Identifier: Apache-2.0
"""tus 1.0.0, creation, creation-with-upload, deferred length: rows CR, CU, CD of the check-list."""

import os

from lib import proc
from lib.check import UNKNOWN_ID, UUID, expect, expect_error
from lib.manifests import decode, encode, manifest
from lib.tus import OCT, payload, upload_id

SERVERS = ("nginx", "apache", "cgi", "nginx+s3", "nginx+azure", "nginx+redis")


def uploads_made(stack):
    """Ids for which anything was written."""
    found = set()
    for _, dirs, files in os.walk(stack.data):
        found |= {n[:36] for n in dirs + files if UUID.match(n[:36])}
    return found


def test_CR1_creation_is_listed(stack):
    assert "creation" in stack.tus.options().tokens("Tus-Extension")


def test_CR2_creation(stack, server):
    t = stack.tus
    r = expect(t.create(100), 201)
    # mod_cgid makes a chunked body without chunks of it.
    assert r.body == b"" and (r.get("Content-Length") == "0" or server == "cgi"), r
    path = t.path(r)
    assert path.startswith(t.files + "/") and UUID.match(upload_id(path)), r
    expect(t.head(path), 200, Upload_Offset=0, Upload_Length=100)


def test_CR2_creation_with_a_closing_slash(stack):
    t = stack.tus
    r = t.request(
        "POST", t.files + "/", {"Upload-Length": "1", "Upload-Metadata": encode(manifest())}, b""
    )
    expect(r, 201)


def test_CR3_creation_without_length(stack):
    expect_error(stack.tus.create(None), 400)


def test_CR4_creation_with_both_lengths(stack):
    expect_error(stack.tus.create(5, headers={"Upload-Defer-Length": "1"}), 400)


def test_CR5_defer_length_is_1_and_nothing_else(stack):
    for value in ("0", "2", "true", "", "1 1", "01"):
        expect_error(stack.tus.create(headers={"Upload-Defer-Length": value}), 400)


def test_CR6_length_above_the_maximum(start):
    s = start(settings={"DEX_MAX_SIZE": "1000"})
    r = expect_error(s.tus.create(1001), 413)
    assert r.get("Location") is None
    assert not uploads_made(s)
    expect(s.tus.create(1000), 201)


def test_CR7_an_empty_upload_is_complete_at_once(stack):
    t = stack.tus
    path = t.new(0)
    expect(t.head(path), 200, Upload_Offset=0, Upload_Length=0)
    assert stack.info(path)["upload_status"]["status"] == "Complete"
    assert len(stack.reports(path, "upload-completed")) == 1
    assert len(stack.events(path)) == 1


def test_CR8_metadata_pairs(stack):
    t = stack.tus
    header = encode(manifest()) + ",note aGVsbG8=,flag,other d29ybGQ="
    path = t.new(1, header)
    got = stack.info(path)["manifest"]
    assert got["note"] == "hello" and got["other"] == "world" and got["flag"] == "", got


def bad_metadata(stack, pair, names=None):
    before = uploads_made(stack)
    r = expect_error(stack.tus.create(1, encode(manifest()) + "," + pair), 400)
    if names:
        assert names in r.text, f"{names} is not named: {r}"
    assert uploads_made(stack) == before


def test_CR9_metadata_keys(stack):
    bad_metadata(stack, "two words aGVsbG8=", "two")
    bad_metadata(stack, ",,a YQ==")


def test_CR10_metadata_keys_are_ascii(stack):
    bad_metadata(stack, "schlüssel aGVsbG8=")


def test_CR11_metadata_values_are_base64(stack):
    bad_metadata(stack, "note not_base64!", "note")
    bad_metadata(stack, "note aGVsbG8", "note")
    stack.tus.new(1, encode(manifest()) + ",empty")
    stack.tus.new(1, encode(manifest()) + ",empty ")


def test_CR12_metadata_keys_are_unique(stack):
    bad_metadata(stack, "note YQ==,note YQ==", "note")


def test_CR13_values_are_text(stack):
    bad_metadata(stack, encode({"note": b"\xff\xfe"}), "note")
    bad_metadata(stack, encode({"note": b"a\0b"}), "note")


def test_CR13_too_much_metadata(stack):
    bad_metadata(stack, encode({"note": "x" * 5400}))
    many = ",".join(f"k{i} YQ==" for i in range(80))
    bad_metadata(stack, many)


def test_CR14_metadata_comes_back_as_sent(stack):
    t = stack.tus
    header = encode(manifest()) + ",flag,note aGVsbG8="
    r = expect(t.head(t.new(1, header)), 200)
    got = r.get("Upload-Metadata")
    assert got.startswith(header + ","), got
    added = decode(got[len(header) + 1 :])
    assert sorted(added) == ["dex_ingest_datetime", "upload_id"], added


def test_CR14_metadata_survives_completion(stack):
    t = stack.tus
    header = encode(manifest())
    assert t.head(t.upload(b"abc", header)).get("Upload-Metadata").startswith(header)


def test_CR15_nothing_is_smuggled(stack):
    t = stack.tus
    for name in (
        "a/b.csv",
        "../../etc/passwd",
        "..",
        ".",
        "a\\b",
        "a\r\nX-Evil: 1",
        "a\x01b",
        "x" * 256,
    ):
        r = expect(t.create(1, manifest(filename=name)), 400)
        assert r.get("X-Evil") is None and "Location" not in dict(r.headers), r
    path = t.new(1, manifest(note='a\r\nSet-Cookie: x=1\n"quoted"'))
    assert t.head(path).get("Set-Cookie") is None
    log = stack.logs()
    assert not any(line.startswith("Set-Cookie") for line in log.splitlines())


def test_CR16_metadata_may_be_rejected(stack):
    before = {i for i in uploads_made(stack) if stack.stored(i)}
    r = expect(stack.tus.create(5, manifest(sender_id=None)), 400)
    assert r.get("Location") is None
    assert {i for i in uploads_made(stack) if stack.stored(i)} == before


def test_CR17_the_upload_goes_on_by_the_core_protocol(stack):
    assert stack.stored(stack.tus.upload(b"0123456789", chunk=3)) == b"0123456789"


def test_CR18_methods_at_the_wrong_place(stack):
    t = stack.tus
    path = t.new(5)
    r = expect(t.request("POST", path, {"Upload-Length": "5"}, b""), (404, 405))
    assert r.status == 404 or r.get("Allow"), r
    for method in ("PATCH", "HEAD", "DELETE"):
        r = expect(t.request(method, t.files, t.patch_headers(0), b""), (404, 405))
        assert r.status == 404 or r.get("Allow"), r
    expect(t.request("GET", path), 405)


def test_CR19_location_is_where_the_client_came_from(stack):
    t = stack.tus
    r = t.create(1)
    wanted = f"http://{stack.addr[0]}:{stack.addr[1]}{t.files}/"
    assert r.get("Location").startswith(wanted), (r, wanted)
    r = t.create(1, headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"})
    assert r.get("Location").startswith(wanted), f"a header of a stranger was believed: {r}"
    r = t.create(1, headers={"Forwarded": "host=evil.example;proto=https"})
    assert r.get("Location").startswith(wanted), f"a header of a stranger was believed: {r}"


def test_CR19_a_trusted_proxy_is_believed(start):
    s = start(settings={"DEX_TRUSTED_PROXIES": "127.0.0.1"})
    forwarded = {"X-Forwarded-Host": "up.example", "X-Forwarded-Proto": "https"}
    r = expect(s.tus.create(1, headers=forwarded), 201)
    assert r.get("Location").startswith(f"https://up.example{s.tus.files}/"), r
    r = expect(
        s.tus.create(1, headers={"Forwarded": "for=192.0.2.1;host=up.example;proto=https"}), 201
    )
    assert r.get("Location").startswith(f"https://up.example{s.tus.files}/"), r


def test_CR19_relative_location(start):
    s = start(settings={"DEX_RELATIVE_LOCATION": "true"})
    r = expect(s.tus.create(1), 201)
    assert r.get("Location").startswith(s.tus.files + "/"), r


def test_CU1_creation_with_upload_is_listed(stack):
    assert "creation-with-upload" in stack.tus.options().tokens("Tus-Extension")


def test_CU2_it_is_listed_beside_creation(stack):
    listed = stack.tus.options().tokens("Tus-Extension")
    assert "creation" in listed or "creation-with-upload" not in listed


def test_CU3_creation_with_some_bytes(stack):
    t = stack.tus
    r = expect(t.create(100, body=b"01234"), 201, Upload_Offset=5)
    path = t.path(r)
    expect(t.head(path), 200, Upload_Offset=5, Upload_Length=100)
    assert stack.holds(path, b"01234")


def test_CU4_a_broken_creation_keeps_its_bytes(stack):
    t = stack.tus
    before = uploads_made(stack)
    h = {
        "Content-Type": OCT,
        "Upload-Length": "100000",
        "Content-Length": "100000",
        "Upload-Metadata": encode(manifest()),
    }
    c = t.conn("POST", t.files, h)
    c.send(b"x" * 50000)

    def made():
        return [i for i in uploads_made(stack) - before if stack.holds(i, b"x" * 50000)]

    (new,) = proc.until(made, "the bytes of the creation are stored", 5)
    c.close()
    assert t.offset(f"{t.files}/{new}") == 50000


def test_CU5_a_body_of_another_type_is_no_data(stack):
    t = stack.tus
    for value in ("text/plain", None, "application/octet-stream"):
        r = t.create(5, headers={"Content-Type": value}, body=b"abcde")
        expect(r, (201, 415), Upload_Offset=None)
        if r.status == 201:
            assert t.offset(t.path(r)) == 0


def test_CU6_expect_continue(stack):
    t = stack.tus
    h = {
        "Content-Type": OCT,
        "Upload-Length": "5",
        "Content-Length": "5",
        "Upload-Metadata": encode(manifest()),
        "Expect": "100-continue",
    }
    with t.conn("POST", t.files, h) as c:
        c.send(b"abcde")
        expect(c.response("POST"), 201, Upload_Offset=5)


def test_CU7_a_body_beyond_the_length(stack):
    r = expect_error(stack.tus.create(5, body=b"0123456789"), 413)
    assert r.get("Location") is None, r


def test_CU8_a_whole_file_in_the_creation(stack):
    t = stack.tus
    data = payload(100000)
    path = t.path(expect(t.create(len(data), body=data), 201, Upload_Offset=len(data)))
    assert stack.info(path)["upload_status"]["status"] == "Complete"
    assert stack.stored(path) == data
    assert len(stack.reports(path, "upload-completed")) == 1
    assert len(stack.events(path)) == 1


DEFER = {"Upload-Defer-Length": "1"}


def test_CD1_defer_length_is_listed(stack):
    assert "creation-defer-length" in stack.tus.options().tokens("Tus-Extension")


def test_CD2_creation_with_deferred_length(stack):
    t = stack.tus
    assert t.path(expect(t.create(headers=DEFER), 201))


def test_CD3_head_while_the_length_is_unknown(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    expect(t.head(path), 200, Upload_Defer_Length=1, Upload_Length=None, Upload_Offset=0)
    expect(t.patch(path, 0, b"abc"), 204, Upload_Offset=3)
    expect(t.head(path), 200, Upload_Defer_Length=1, Upload_Length=None, Upload_Offset=3)


def test_CD4_no_defer_header_once_the_length_is_known(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    expect(t.patch(path, 0, b"abc", {"Upload-Length": "10"}), 204, Upload_Defer_Length=None)
    expect(t.head(path), 200, Upload_Defer_Length=None, Upload_Length=10)
    expect(t.head(t.new(5)), 200, Upload_Defer_Length=None)


def test_CD5_length_given_later(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    t.patch(path, 0, b"abc")
    expect(t.patch(path, 3, b"de", {"Upload-Length": "8"}), 204, Upload_Offset=5)
    expect(t.head(path), 200, Upload_Length=8, Upload_Offset=5)
    expect(t.patch(path, 5, b"fgh"), 204, Upload_Offset=8)
    assert stack.info(path)["upload_status"]["status"] == "Complete"


def test_CD6_the_length_does_not_change(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    t.patch(path, 0, b"abc", {"Upload-Length": "8"})
    expect_error(t.patch(path, 3, b"de", {"Upload-Length": "9"}), 400)
    expect(t.head(path), 200, Upload_Length=8, Upload_Offset=3)
    expect(t.patch(path, 3, b"de", {"Upload-Length": "8"}), 204)


def test_CD7_a_length_below_the_offset(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    t.patch(path, 0, b"abcde")
    expect_error(t.patch(path, 5, b"", {"Upload-Length": "4"}), 400)
    expect(t.head(path), 200, Upload_Defer_Length=1)


def test_CD8_a_length_above_the_maximum(start):
    t = start(settings={"DEX_MAX_SIZE": "100"}).tus
    path = t.new(headers=DEFER)
    expect_error(t.patch(path, 0, b"abc", {"Upload-Length": "101"}), 413)
    expect(t.head(path), 200, Upload_Offset=0, Upload_Defer_Length=1)


def test_CD9_a_deferred_upload_stops_at_the_maximum(start):
    t = start(settings={"DEX_MAX_SIZE": "100"}).tus
    for chunked in (False, True):
        path = t.new(headers=DEFER)
        expect(t.patch(path, 0, b"x" * 60), 204)
        expect(t.patch(path, 60, b"y" * 41, chunked=chunked), 413)
        assert t.offset(path) <= 100


def test_CD10_the_length_alone_completes(stack):
    t = stack.tus
    path = t.new(headers=DEFER)
    t.patch(path, 0, b"abcde")
    expect(t.patch(path, 5, b"", {"Upload-Length": "5"}), 204, Upload_Offset=5)
    assert stack.info(path)["upload_status"]["status"] == "Complete"
    assert len(stack.events(path)) == 1


def test_CD11_the_extension_is_on(stack):
    r = stack.tus.create(headers=DEFER)
    assert r.status == 201 and "creation-defer-length" in stack.tus.options().tokens(
        "Tus-Extension"
    )


def test_CD11_unknown_paths_are_404(stack):
    expect(stack.tus.request("POST", f"{stack.tus.files}x", {"Upload-Length": "1"}, b""), 404)
    expect(stack.tus.head(f"{stack.tus.files}/{UNKNOWN_ID}/x"), 404)
