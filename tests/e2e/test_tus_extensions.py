# SPDX-License-Identifier: Apache-2.0
"""tus 1.0.0, expiration, checksum, termination, concatenation: rows E, K, T, N."""

import base64
import email.utils
import hashlib
import re
import time

from lib import proc
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.manifests import encode, manifest
from lib.tus import payload, upload_id

SERVERS = ("nginx", "apache", "cgi", "nginx+s3", "nginx+azure", "nginx+redis")
IMF = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"\d{4} \d\d:\d\d:\d\d GMT\Z"
)


def checksum(data, algorithm="sha1"):
    digest = hashlib.new(algorithm, data).digest()
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(digest).decode()}"}


def expires(r):
    value = r.get("Upload-Expires")
    assert value and IMF.match(value), f"Upload-Expires: {r}"
    return email.utils.parsedate_to_datetime(value).timestamp()


# -- expiration


def test_E1_expiration_is_listed(stack):
    assert "expiration" in stack.tus.options().tokens("Tus-Extension")


def test_E2_every_patch_answer_has_it(stack):
    t = stack.tus
    path = t.new(10)
    expires(expect(t.patch(path, 0, b"abc"), 204))
    expires(expect(t.patch(path, 0, b"abc"), 409))
    expires(expect(t.patch(path, 3, b"x" * 20), 413))
    expires(expect(t.patch(path, 3, b"abc", checksum(b"other")), 460))


def test_E3_creation_has_it(stack):
    expires(stack.tus.create(10))


def test_E4_format(stack):
    at = expires(stack.tus.create(10))
    assert abs(at - time.time() - 86400) < 120, at


def test_E5_it_slides(start):
    t = start(settings={"DEX_UPLOAD_EXPIRY": "1h"}).tus
    r = t.create(10)
    first = expires(r)
    second = expires(proc.until(lambda: _later(t, t.path(r), first), "the expiry moves", 5, 0.2))
    assert second > first


def _later(t, path, first):
    offset = t.offset(path)
    r = t.patch(path, offset, b"x" if offset < 9 else b"")
    return r if expires(r) > first else None


def expired(start):
    s = start(settings={"DEX_UPLOAD_EXPIRY": "300ms"})
    path = s.tus.new(10)
    s.tus.patch(path, 0, b"abc")

    def gone():
        assert s.deliver("--quiet").returncode == 0
        return s.tus.head(path).status in (404, 410)

    proc.until(gone, "the upload has expired", 15, 0.2)
    return s, path


def test_E6_an_expired_upload_is_gone(start):
    s, path = expired(start)
    expect(s.tus.patch(path, 3, b"x"), (404, 410))
    assert s.left(path) == []


def test_E7_it_is_known_to_have_expired(start):
    s, path = expired(start)
    expect(s.tus.head(path), 410, Upload_Offset=None)
    last = s.reports(path, "upload-status")[-1]
    assert last["stage_info"]["status"] == "FAILURE" and last["stage_info"]["issues"], last


def test_E8_a_new_upload_starts_anew(start):
    s, path = expired(start)
    again = s.tus.new(3)
    assert again != path
    expect(s.tus.patch(again, 0, b"abc"), 204)


def test_E9_a_finished_upload_does_not_expire(start):
    s = start(settings={"DEX_UPLOAD_EXPIRY": "200ms"})
    path = s.tus.upload(b"abc")
    unfinished = s.tus.new(10)
    expect(s.tus.head(path), 200, Upload_Expires=None)

    def swept():
        s.deliver("--quiet")
        return s.tus.head(unfinished).status in (404, 410)

    proc.until(swept, "the unfinished one has expired", 15, 0.2)
    expect(s.tus.head(path), 200, Upload_Offset=3)
    assert s.stored(path) == b"abc"


def test_E10_a_running_patch_is_not_cut_off(start):
    s = start(settings={"DEX_UPLOAD_EXPIRY": "300ms"})
    path = s.tus.new(10)
    witness = s.tus.new(10)
    with s.tus.start_patch(path, 0, 10) as c:
        c.send(b"abcde")

        def swept():
            s.deliver("--quiet")
            return s.tus.head(witness).status in (404, 410)

        proc.until(swept, "the idle upload has expired", 15, 0.2)
        c.send(b"fghij")
        expect(c.response("PATCH"), 204, Upload_Offset=10)
    assert s.stored(path) == b"abcdefghij"


# -- checksum


def test_K1_checksum_is_listed(stack):
    assert "checksum" in stack.tus.options().tokens("Tus-Extension")


def test_K2_algorithms_are_listed(stack):
    assert stack.tus.options().tokens("Tus-Checksum-Algorithm")


def test_K3_sha1_is_one(stack):
    names = stack.tus.options().tokens("Tus-Checksum-Algorithm")
    assert "sha1" in names and all(n == n.lower() and n.isascii() for n in names), names


def test_K4_a_malformed_checksum(stack):
    t = stack.tus
    path = t.new(5)
    for value in (
        "sha1",
        "",
        "sha1 ",
        "sha1 not-base64!",
        "sha1 YWJj",
        "sha1  " + "A" * 28,
        "sha1,x",
    ):
        expect_error(t.patch(path, 0, b"abcde", {"Upload-Checksum": value}), 400)
    assert t.offset(path) == 0


def test_K5_right_sums(stack):
    t = stack.tus
    names = t.options().tokens("Tus-Checksum-Algorithm")
    for name in [n for n in names if n in hashlib.algorithms_available]:
        data = payload(150000)
        path = t.new(len(data))
        expect(
            t.patch(path, 0, data[:70000], checksum(data[:70000], name)), 204, Upload_Offset=70000
        )
        expect(t.patch(path, 70000, data[70000:], checksum(data[70000:], name)), 204)
        assert stack.stored(path) == data


def test_K6_an_unknown_algorithm(stack):
    t = stack.tus
    path = t.new(5)
    expect_error(t.patch(path, 0, b"abcde", {"Upload-Checksum": "rot13 YWJjZGU="}), 400)
    expect_error(t.patch(path, 0, b"abcde", {"Upload-Checksum": "SHA1 " + "A" * 27 + "="}), 400)
    assert t.offset(path) == 0


def test_K7_a_wrong_sum(stack):
    t = stack.tus
    data = payload(200000)
    path = t.new(len(data))
    t.patch(path, 0, data[:1000])
    r = expect_error(t.patch(path, 1000, data[1000:], checksum(b"other")), 460)
    assert "checksum" in r.reason.lower(), r
    expect(t.head(path), 200, Upload_Offset=1000)
    expect(t.patch(path, 1000, data[1000:], checksum(data[1000:])), 204)
    assert stack.stored(path) == data


def test_K8_a_broken_chunk_with_checksum_is_discarded(stack):
    t = stack.tus
    data = payload(100000)
    path = t.new(len(data))
    arrivals = stack.arrivals(path)
    c = t.start_patch(path, 0, len(data), checksum(data))
    c.send(data[:60000])
    proc.until(lambda: arrivals() > 0, "bytes arrive", 5)
    c.close()
    assert t.offset(path) == 0
    expect(t.patch(path, 0, data, checksum(data)), 204)
    assert stack.stored(path) == data


def test_K9_checksum_on_creation(stack):
    t = stack.tus
    r = expect(t.create(5, body=b"abcde", headers=checksum(b"abcde")), 201, Upload_Offset=5)
    r = expect_error(t.create(5, body=b"abcde", headers=checksum(b"other")), 460)
    if r.get("Location"):
        expect(t.head(t.path(r)), 200, Upload_Offset=0)
    expect_error(t.create(5, body=b"abcde", headers={"Upload-Checksum": "rot13 YQ=="}), 400)


def test_K10_trailers_are_not_offered(stack):
    assert "checksum-trailer" not in stack.tus.options().tokens("Tus-Extension")


def test_K11_a_trailer_is_not_said_to_be_verified(stack):
    t = stack.tus
    path = t.new(5)
    h = t.patch_headers(0, {"Transfer-Encoding": "chunked", "Trailer": "Upload-Checksum"})
    with t.conn("PATCH", path, h) as c:
        c.chunk(b"abcde")
        c.send(b"0\r\nUpload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
        expect(c.response("PATCH"), (204, 400))


# K12 (killed before the sum was verified) is in test_crash.


# -- termination


def test_T1_termination_is_listed(stack):
    assert "termination" in stack.tus.options().tokens("Tus-Extension")


def test_T2_delete(stack):
    t = stack.tus
    for path in (t.new(5), t.partial(b"abc")):
        expect(t.delete(path), 204)
    done = t.upload(b"abc")
    expect_error(t.delete(done), 409)
    stack.deliver_all()
    expect(t.delete(done), 204)


def test_T3_delete_frees_the_data(stack):
    t = stack.tus
    path = t.new(10)
    t.patch(path, 0, b"abc")
    expect(t.delete(path), 204)
    assert stack.left(path) == []


def test_T4_a_deleted_upload_is_gone(stack):
    t = stack.tus
    path = t.new(10)
    t.delete(path)
    expect(t.head(path), (404, 410))
    expect(t.patch(path, 0, b"x"), (404, 410))
    expect(t.delete(path), (404, 410))
    last = stack.reports(path, "upload-status")[-1]
    assert last["stage_info"]["status"] == "FAILURE" and last["stage_info"]["issues"], last


def test_T5_delete_of_an_unknown_upload(stack):
    expect(stack.tus.delete(f"{stack.tus.files}/{UNKNOWN_ID}"), (404, 410))


def test_T6_delete_while_a_patch_runs(stack):
    t = stack.tus
    path = t.new(100000)
    c = t.start_patch(path, 0, 100000)
    c.send(b"x" * 50000)
    proc.until(lambda: stack.size(path) == 50000, "bytes arrive", 5)
    with proc.within(10, "DELETE"):  # the PATCH would be silent for 120 s
        expect(t.delete(path), 204)
    try:
        c.send(b"y" * 50000)
    except OSError:
        pass
    c.close()
    expect(t.head(path), (404, 410))
    assert stack.left(path) == []


def test_T7_methods_follow_the_list(stack):
    t = stack.tus
    r = expect(t.request("GET", t.new(1)), 405)
    assert "DELETE" in r.tokens("Allow"), r


# -- concatenation


def final(t, *paths, meta=None, headers=None, body=None):
    h = {"Upload-Concat": "final;" + " ".join(paths)}
    h.update(headers or {})
    return t.create(None, meta if meta is not None else manifest(), h, body)


def test_N1_concatenation_is_listed(stack):
    assert "concatenation" in stack.tus.options().tokens("Tus-Extension")


def test_N2_a_partial_upload(stack):
    t = stack.tus
    expect(t.create(5, None, {"Upload-Concat": "partial"}), 201)


def test_N3_head_of_a_partial(stack):
    t = stack.tus
    path = t.new(5, None, {"Upload-Concat": "partial"})
    t.patch(path, 0, b"abc")
    expect(t.head(path), 200, Upload_Concat="partial", Upload_Offset=3, Upload_Length=5)


def test_N4_a_finished_partial_is_not_processed(stack):
    path = stack.tus.partial(b"abcde")
    assert stack.events(path) == [] and stack.reports(path, "upload-completed") == []


def test_N5_the_final_is_its_parts_in_order(stack):
    t = stack.tus
    a, b = payload(100000), payload(70001)
    pa, pb = t.partial(a), t.partial(b)
    first = t.path(expect(final(t, pa, pb), 201))
    assert stack.stored(first) == a + b
    other = t.path(expect(final(t, pb, pa), 201))
    assert stack.stored(other) == b + a
    assert len(stack.events(first)) == 1


def test_N6_the_length_is_the_sum(stack):
    t = stack.tus
    pa = t.partial(b"abc")
    path = t.path(expect(final(t, pa, pa, t.partial(b"")), 201))
    expect(t.head(path), 200, Upload_Length=6, Upload_Offset=6)
    assert stack.stored(path) == b"abcabc"


def test_N7_a_final_has_no_length_of_its_own(stack):
    t = stack.tus
    r = final(t, t.partial(b"abc"), headers={"Upload-Length": "3"})
    expect(r, (400, 201))


def test_N8_absolute_and_relative_urls(stack):
    t = stack.tus
    pa, pb = t.partial(b"abc"), t.partial(b"de")
    host = f"http://{stack.addr[0]}:{stack.addr[1]}"
    path = t.path(expect(final(t, host + pa, pb), 201))
    assert stack.stored(path) == b"abcde"
    r = t.create(None, manifest(), {"Upload-Concat": f"final; {pa} {pb}"})
    expect(r, (201, 400))


def test_N9_metadata_of_parts_does_not_count(stack):
    t = stack.tus
    part = t.new(3, {"note": "of the part"}, {"Upload-Concat": "partial"})
    t.patch(part, 0, b"abc")
    path = t.path(expect(final(t, part, meta=manifest(own="mine")), 201))
    got = stack.info(path)["manifest"]
    assert got["own"] == "mine" and "note" not in got, got
    expect(final(t, part, meta={"note": "no manifest"}), 400)


def test_N10_parts_may_be_used_again(stack):
    t = stack.tus
    part = t.partial(b"abc")
    for _ in range(2):
        path = t.path(expect(final(t, part), 201))
        assert stack.stored(path) == b"abc"


def test_N11_no_patch_on_a_final(stack):
    t = stack.tus
    part = t.partial(b"abc")
    path = t.path(expect(final(t, part), 201))
    for offset in (0, 3):
        expect_error(t.patch(path, offset, b"x"), 403)
    assert stack.stored(path) == b"abc" and stack.holds(part, b"abc")


def test_N12_no_final_without_its_parts(stack):
    t = stack.tus
    part = t.new(5, None, {"Upload-Concat": "partial"})
    r = expect_error(final(t, part), 400)
    assert r.get("Location") is None


def test_N13_offset_of_a_finished_final(stack):
    t = stack.tus
    path = t.path(final(t, t.partial(b"abc")))
    expect(t.head(path), 200, Upload_Offset=3, Upload_Length=3)


def test_N14_length_of_a_final(stack):
    t = stack.tus
    path = t.path(final(t, t.partial(b"abc"), t.partial(b"defg")))
    expect(t.head(path), 200, Upload_Length=7)


def test_N15_the_header_comes_back_as_received(stack):
    t = stack.tus
    part = t.partial(b"abc")
    value = f"final;{part} {part}"
    path = t.path(t.create(None, manifest(), {"Upload-Concat": value}))
    expect(t.head(path), 200, Upload_Concat=value)


def test_N16_unfinished_parts_are_refused(stack):
    t = stack.tus
    part = t.new(5, None, {"Upload-Concat": "partial"})
    t.patch(part, 0, b"ab")
    expect_error(final(t, t.partial(b"x"), part), 400)


def test_N17_unfinished_is_not_offered(stack):
    assert "concatenation-unfinished" not in stack.tus.options().tokens("Tus-Extension")


def test_N18_an_unknown_part(stack):
    t = stack.tus
    expect_error(final(t, f"{t.files}/{UNKNOWN_ID}"), (404, 400))


def test_N19_a_part_that_is_none(stack):
    t = stack.tus
    expect_error(final(t, t.upload(b"abc")), 400)
    whole = t.path(final(t, t.partial(b"abc")))
    expect_error(final(t, whole), 400)


def test_N20_a_sum_above_the_maximum(start):
    t = start(settings={"DEX_MAX_SIZE": "10"}).tus
    part = t.partial(b"x" * 6)
    expect_error(final(t, part, part), 413)


def test_N21_other_values(stack):
    t = stack.tus
    for value in ("final;", "final; ", "final", "other", "", "PARTIAL", "partial;x"):
        expect_error(t.create(5, manifest(), {"Upload-Concat": value}), 400)


def test_N22_part_urls_are_checked(stack):
    t = stack.tus
    part = t.partial(b"abc")
    for url in (
        f"{t.files}/../{upload_id(part)}",
        f"/etc/{upload_id(part)}",
        f"{t.files}/../../etc/passwd",
        f"{t.files}/{upload_id(part)}/x",
        f"{t.files}/%2e%2e/{upload_id(part)}",
    ):
        expect_error(final(t, url), (400, 404))


def test_N23_a_final_takes_no_data(stack):
    t = stack.tus
    h = {"Upload-Concat": f"final;{t.partial(b'abc')}", "Upload-Metadata": encode(manifest())}
    h["Content-Type"] = "application/offset+octet-stream"
    expect_error(t.request("POST", t.files, h, b"more"), 403)


def test_N24_the_header_is_not_ignored(stack):
    t = stack.tus
    expect_error(t.create(5, manifest(), {"Upload-Concat": "nonsense"}), 400)
