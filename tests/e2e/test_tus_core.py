# SPDX-License-Identifier: Apache-2.0
"""tus 1.0.0, core protocol: rows C1 to C54 of the check-list, through every web server."""

import threading

from lib import http, proc
from lib.check import UNKNOWN_ID, expect, expect_error
from lib.tus import OCT, payload, upload_id

SERVERS = ("nginx", "apache", "cgi", "nginx+s3", "nginx+azure", "nginx+redis", "cgi+redis")
BAD_NUMBERS = ("-1", "abc", "1.5", "", " ", "+1", "0x10", "9223372036854775808", "1 2", "١")


def test_C1_core_alone_carries_an_upload(stack):
    t = stack.tus
    data = payload(1000)
    path = t.new(len(data))
    expect(t.head(path), 200, Upload_Offset=0)
    expect(t.patch(path, 0, data), 204, Upload_Offset=1000)
    assert stack.stored(path) == data


def test_C2_every_answer_names_the_version(stack):
    t = stack.tus
    path = t.new(5)
    f = t.files
    answers = [
        t.create(5),
        t.create(None),
        t.head(path),
        t.head(f"{f}/{UNKNOWN_ID}"),
        t.patch(path, 3, b"x"),
        t.patch(path, 0, b"abcde"),
        t.patch(path, 0, b"x", {"Content-Type": "text/plain"}),
        t.request("GET", path),
        t.request("GET", f),
        t.delete(f"{f}/{UNKNOWN_ID}"),
        t.request("PUT", path),
        t.create(5, headers={"Tus-Resumable": "0.2.2"}),
    ]
    for r in answers:
        expect(r, tuple(range(200, 600)), Tus_Resumable="1.0.0")
        assert len(r.all("Tus-Resumable")) == 1, r


def test_C3_a_request_without_version_is_refused(stack):
    t = stack.tus
    path = t.new(5)
    without = {"Tus-Resumable": None}
    for r in (
        t.create(5, headers=without),
        t.head(path, without),
        t.patch(path, 0, b"abcde", without),
        t.delete(path, without),
    ):
        expect(r, 412, Tus_Version="1.0.0")
    assert t.offset(path) == 0


def test_C4_another_version_is_refused(stack):
    t = stack.tus
    path = t.new(5)
    for value in ("0.2.2", "2.0.0", "foo", "", "1.0", "1.0.0, 0.2.2"):
        h = {"Tus-Resumable": value}
        for r in (t.create(5, headers=h), t.head(path, h), t.patch(path, 0, b"abcde", h)):
            expect(r, 412, Tus_Version="1.0.0", Tus_Resumable="1.0.0")
        expect(t.delete(path, h), 412, Tus_Version="1.0.0")


def test_C5_a_refused_version_changes_nothing(stack):
    t = stack.tus
    path = t.new(5)
    wrong = {"Tus-Resumable": "0.2.2"}
    created = expect(t.create(5, headers=wrong), 412)
    assert created.get("Location") is None, created
    expect(t.patch(path, 0, b"abcde", wrong), 412)
    expect(t.delete(path, wrong), 412)
    assert t.offset(path) == 0
    assert stack.stored(path) == b""
    # The lock was not taken either: the next PATCH goes at once.
    expect(t.patch(path, 0, b"abcde"), 204)


def test_C6_versions_are_listed(stack):
    assert stack.tus.options().tokens("Tus-Version") == ["1.0.0"]


def test_C7_a_bad_offset_is_refused(stack):
    t = stack.tus
    path = t.new(5)
    for value in BAD_NUMBERS:
        expect_error(t.patch(path, 0, b"abcde", {"Upload-Offset": value}), 400)
    expect_error(t.patch(path, 0, b"abcde", {"Upload-Offset": None}), 400)
    assert t.offset(path) == 0
    assert stack.stored(path) == b""


def test_C8_a_bad_length_is_refused(stack):
    t = stack.tus
    for value in BAD_NUMBERS:
        r = expect_error(t.create(headers={"Upload-Length": value}), 400)
        assert r.get("Location") is None, r


def test_C9_extensions_are_listed(stack):
    assert stack.tus.options().tokens("Tus-Extension") == [
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "expiration",
        "checksum",
        "termination",
        "concatenation",
    ]


def test_C10_maximum_is_a_number(start):
    t = start(settings={"DEX_MAX_SIZE": "1MiB"}).tus
    expect(t.options(), (200, 204), Tus_Max_Size=1048576)


def test_C11_maximum_is_shown_only_where_there_is_one(stack, start):
    expect(stack.tus.options(), (200, 204), Tus_Max_Size=None)
    t = start(settings={"DEX_MAX_SIZE": "10"}).tus
    expect(t.options(), (200, 204), Tus_Max_Size=10)


def test_C12_method_override_on_post(stack):
    t = stack.tus
    path = t.new(5)
    h = t.patch_headers(0, {"X-HTTP-Method-Override": "PATCH"})
    expect(t.request("POST", path, h, b"abcde"), 204, Upload_Offset=5)
    assert stack.stored(path) == b"abcde"


def test_C13_method_override_on_any_method(stack):
    t = stack.tus
    path = t.new(5)
    expect(t.request("POST", path, {"X-HTTP-Method-Override": "HEAD"}), (200, 204), Upload_Offset=0)
    expect(t.request("GET", path, {"X-HTTP-Method-Override": "DELETE"}), 204)
    expect(t.head(path), (404, 410))


def test_C14_delete_by_override(stack):
    t = stack.tus
    path = t.new(5)
    expect(t.request("POST", path, {"X-HTTP-Method-Override": "DELETE"}, b""), 204)
    expect(t.head(path), (404, 410))


def test_C15_unknown_override_is_refused(stack):
    t = stack.tus
    path = t.new(5)
    for value in ("FROB", "patchy", "GET", "PUT", "\x7f"):
        r = t.request("POST", path, t.patch_headers(0, {"X-HTTP-Method-Override": value}), b"abcde")
        expect(r, (400, 405))
    assert t.offset(path) == 0


def test_C20_head_has_the_offset(stack):
    t = stack.tus
    path = t.new(5)
    expect(t.head(path), 200, Upload_Offset=0)
    t.patch(path, 0, b"ab")
    expect(t.head(path), 200, Upload_Offset=2)
    t.patch(path, 2, b"cde")
    expect(t.head(path), 200, Upload_Offset=5)


def test_C21_head_has_the_length(stack):
    t = stack.tus
    path = t.new(7)
    expect(t.head(path), 200, Upload_Length=7)
    t.patch(path, 0, b"abcdefg")
    expect(t.head(path), 200, Upload_Length=7)


def test_C22_head_of_an_unknown_upload(stack):
    t = stack.tus
    for name in (UNKNOWN_ID, "x", "..%2f..%2fetc%2fpasswd", UNKNOWN_ID.upper(), UNKNOWN_ID + "x"):
        expect(
            t.head(f"{t.files}/{name}"), (404, 400) if "%2f" in name else 404, Upload_Offset=None
        )


def test_C23_head_succeeds_with_200(stack):
    t = stack.tus
    expect(t.head(t.new(1)), (200, 204))


def test_C24_head_is_not_to_be_cached(stack):
    t = stack.tus
    expect(t.head(t.new(1)), 200, Cache_Control="no-store")


def test_C25_offset_after_a_broken_patch_is_true(stack):
    t = stack.tus
    data = payload(300000)
    path = t.new(len(data))
    c = t.start_patch(path, 0, len(data))
    c.send(data[:100000])
    proc.until(lambda: stack.size(path) > 0, "some bytes are stored")
    c.close()
    kept = t.offset(path)
    assert 0 < kept <= 100000, kept
    expect(t.patch(path, kept, data[kept:]), 204, Upload_Offset=len(data))
    assert stack.stored(path) == data


def test_C26_head_has_no_body(stack):
    t = stack.tus
    path = t.new(5)
    for target, headers in (
        (path, {}),
        (f"{t.files}/{UNKNOWN_ID}", {}),
        (path, {"Tus-Resumable": "9.9.9"}),
    ):
        with t.conn("HEAD", target, {"Connection": "close", **headers}) as c:
            r = c.response("HEAD")
            rest = c.buf
            while more := c.sock.recv(65536):
                rest += more
            assert rest == b"", (r, rest)


def test_C30_any_upload_accepts_patch(stack):
    t = stack.tus
    for path in (t.new(1), t.partial(b""), t.new(headers={"Upload-Defer-Length": "1"})):
        r = t.patch(path, 0, b"")
        expect(r, 204, Upload_Offset=0)


def test_C31_patch_stores_at_the_offset(stack):
    t = stack.tus
    data = payload(200001)
    path = t.new(len(data))
    expect(t.patch(path, 0, data[:7]), 204, Upload_Offset=7)
    expect(t.patch(path, 7, data[7:150000]), 204, Upload_Offset=150000)
    expect(t.patch(path, 150000, data[150000:]), 204, Upload_Offset=len(data))
    assert stack.stored(path) == data


def test_C32_another_content_type_is_refused(stack):
    t = stack.tus
    path = t.new(5)
    for value in (None, "application/octet-stream", "text/plain", OCT + "x", ""):
        expect_error(t.patch(path, 0, b"abcde", {"Content-Type": value}), 415)
    assert t.offset(path) == 0
    assert stack.stored(path) == b""


def test_C33_a_wrong_offset_is_a_conflict(stack):
    t = stack.tus
    path = t.new(10)
    t.patch(path, 0, b"abcde")
    for offset in (0, 4, 6, 10, 11, 2**62):
        r = expect_error(t.patch(path, offset, b"x"), 409)
        assert r.get("Upload-Offset") == "5", r
    assert t.offset(path) == 5
    assert stack.holds(path, b"abcde")


def test_C34_success_is_204(stack):
    t = stack.tus
    expect(t.patch(t.new(5), 0, b"ab"), 204)


def test_C35_offset_in_the_answer_is_what_was_stored(stack):
    t = stack.tus
    path = t.new(100)
    expect(t.patch(path, 0, b"a" * 60), 204, Upload_Offset=60)
    expect(t.patch(path, 60, b"b" * 40), 204, Upload_Offset=100)


def test_C36_patch_of_an_unknown_upload(stack):
    t = stack.tus
    expect_error(t.patch(f"{t.files}/{UNKNOWN_ID}", 0, b"abc"), 404)


def test_C37_one_patch_or_many(stack):
    t = stack.tus
    data = payload(5000)
    assert stack.stored(t.upload(data)) == data
    assert stack.stored(t.upload(data, chunk=499)) == data


def test_C38_bytes_of_a_stalled_patch_are_kept(stack):
    t = stack.tus
    data = payload(50000)
    path = t.new(100000)
    c = t.start_patch(path, 0, 100000)
    c.send(data)
    proc.until(lambda: stack.holds(path, data), "what was sent is stored", 5)
    assert t.offset(path) == len(data)
    c.close()


def test_C39_a_silent_patch_is_ended(start, server):
    s = start(settings={"DEX_BODY_TIMEOUT": "500ms"})
    path = s.tus.new(100)
    with s.tus.start_patch(path, 0, 100) as c:
        c.send(b"abc")
        c.timeout(10)
        if server == "nginx":
            try:
                expect(c.response("PATCH"), (408, 423, 503))
            except (http.Closed, ConnectionResetError):
                pass
        else:
            # Apache keeps answer and connection until its own Timeout; the responder has let go.
            proc.until(lambda: "too long" in s.logs(), "the responder gives the body up", 15)
    assert s.tus.offset(path) == 3


def test_C40_a_reset_is_noticed(stack):
    t = stack.tus
    path = t.new(100000)
    c = t.start_patch(path, 0, 100000)
    c.send(b"x" * 40000)
    proc.until(lambda: stack.size(path) > 0, "some bytes are stored")
    c.reset()
    offset = t.offset(path)
    expect(t.patch(path, offset, b"y" * (100000 - offset)), 204)


def test_C41_a_body_beyond_the_length_is_refused(stack):
    t = stack.tus
    path = t.new(10)
    expect_error(t.patch(path, 0, b"x" * 11), 413)
    assert t.offset(path) == 0
    t.patch(path, 0, b"x" * 8)
    expect_error(t.patch(path, 8, b"yyy"), 413)
    assert t.offset(path) == 8
    assert stack.holds(path, b"x" * 8)


def test_C42_a_chunked_body_never_passes_the_length(stack):
    t = stack.tus
    path = t.new(10)
    r = t.patch(path, 0, b"0123456789abcdef", chunked=True)
    expect(r, (204, 413))
    assert t.offset(path) <= 10
    assert b"0123456789".startswith(stack.stored(path)[:10]) and len(stack.stored(path)) <= 10


def test_C42_chunked_body_works(stack):
    t = stack.tus
    data = payload(200000)
    path = t.new(len(data))
    expect(t.patch(path, 0, data, chunked=True), 204, Upload_Offset=len(data))
    assert stack.stored(path) == data


def test_C43_two_patches_never_mix(stack):
    t = stack.tus
    for _ in range(10):
        path = t.new(4000)
        answers = []

        def send(fill, path=path, answers=answers):
            answers.append((fill, t.patch(path, 0, fill * 4000)))

        threads = [threading.Thread(target=send, args=(f,)) for f in (b"a", b"b")]
        for th in threads:
            th.start()
        for th in threads:
            th.join()
        winners = [f for f, r in answers if r.status == 204]
        assert len(winners) == 1, answers
        assert stack.stored(path) == winners[0] * 4000
        (loser,) = [r for f, r in answers if f != winners[0]]
        assert loser.status in (409, 423, 503), loser


def test_C44_an_empty_patch_is_fine(stack):
    t = stack.tus
    path = t.new(5)
    expect(t.patch(path, 0, b""), 204, Upload_Offset=0)
    t.patch(path, 0, b"abc")
    expect(t.patch(path, 3, b""), 204, Upload_Offset=3)


def test_C45_an_empty_patch_on_a_finished_upload(stack):
    t = stack.tus
    path = t.upload(b"abcde")
    expect(t.patch(path, 5, b""), 204, Upload_Offset=5)
    assert len(stack.reports(path, "upload-completed")) == 1
    assert len(stack.events(path)) == 1


def test_C50_options_tells_the_versions(stack):
    t = stack.tus
    for path in (t.files, t.files + "/", t.new(1)):
        expect(t.options(path), (200, 204), Tus_Version="1.0.0")


def test_C51_options_tells_the_extensions(stack):
    assert "creation" in stack.tus.options().tokens("Tus-Extension")


def test_C52_options_ignores_the_version(stack):
    t = stack.tus
    for value in ("1.0.0", "0.2.2", "foo", ""):
        expect(t.options(headers={"Tus-Resumable": value}), (200, 204), Tus_Version="1.0.0")


def test_C53_options_without_version(stack):
    expect(stack.tus.options(headers={"Tus-Resumable": None}), (200, 204))


def test_C54_a_browser_may_ask_first(stack):
    r = stack.tus.options(
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "tus-resumable,upload-offset,content-type",
        }
    )
    expect(r, (200, 204), Access_Control_Allow_Origin="*")
    assert {"POST", "HEAD", "PATCH", "DELETE"} <= set(r.tokens("Access-Control-Allow-Methods")), r
    allowed = {h.lower() for h in r.tokens("Access-Control-Allow-Headers")}
    assert {
        "tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-checksum",
        "upload-concat", "upload-defer-length", "content-type", "authorization",
        "x-http-method-override",
    } <= allowed, r  # fmt: skip


def test_C54_a_browser_sees_the_headers(stack):
    t = stack.tus
    r = t.create(5, headers={"Origin": "https://app.example"})
    expect(r, 201, Access_Control_Allow_Origin="*")
    seen = {h.lower() for h in r.tokens("Access-Control-Expose-Headers")}
    assert {
        "location", "upload-offset", "upload-length", "upload-expires", "tus-version",
        "tus-resumable", "tus-max-size", "tus-extension", "upload-metadata",
        "upload-defer-length", "upload-concat", "tus-checksum-algorithm",
    } <= seen, r  # fmt: skip
    assert r.get("Access-Control-Allow-Credentials") is None, r
    assert upload_id(t.path(r))
