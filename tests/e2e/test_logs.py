# SPDX-License-Identifier: Apache-2.0
"""The log: one line a request, nothing forged, nothing secret."""

import json
import re
import tempfile

from lib import proc
from lib.check import UNKNOWN_ID, expect
from lib.manifests import manifest
from lib.tus import upload_id


def lines(stack):
    with open(f"{stack.dir}/log/dex-upload.log", errors="replace") as f:
        return f.read().splitlines()


def requests(stack):
    return [line for line in lines(stack) if " msg=request " in line or ' msg="request" ' in line]


def test_one_line_a_request(stack):
    before = len(requests(stack))
    path = stack.tus.new(3)
    stack.tus.patch(path, 0, b"abc")
    stack.tus.head(path)
    new = proc.until(
        lambda: requests(stack)[before:][2:] and requests(stack)[before:], "three lines"
    )
    assert len(new) == 3, new
    patch = [line for line in new if "method=PATCH" in line]
    assert len(patch) == 1, new
    for field in (
        "status=204",
        f"upload_id={upload_id(path)}",
        "bytes_in=3",
        "duration_ms=",
        "remote=127.0.0.1",
    ):
        assert field in patch[0], patch[0]
    assert re.match(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z level=info ", patch[0]), patch[0]


def test_a_failure_is_logged_once(stack):
    before = len(lines(stack))
    stack.tus.patch(f"{stack.tus.files}/{UNKNOWN_ID}", 0, b"x")
    new = proc.until(lambda: [x for x in lines(stack)[before:] if "status=404" in x], "the line")
    told = [x for x in lines(stack)[before:] if UNKNOWN_ID in x and "level=debug" not in x]
    assert len(told) == len(new) == 1, told


def test_nothing_is_forged(stack):
    evil = 'x" level=error msg="forged\nlevel=error msg=forged2 \x1b[31m'
    stack.tus.create(1, manifest(sender_id=evil), headers={"X-Request-ID": 'a"b\tc'})
    stack.get("/info/%0alevel=error%20msg=forged3")
    stack.get("/version")
    proc.until(lambda: "path=/version" in lines(stack)[-1], "the last request is logged")
    for line in lines(stack):
        assert not re.match(r"level=error msg=forged", line), line
        assert "\x1b" not in line, line
        assert re.match(r"time=\S+ level=", line) or not line.startswith("level="), line


def test_tokens_are_not_logged(stack):
    stack.tus.create(
        1, headers={"Authorization": "Bearer abc.secret-4711.def", "Cookie": "s=secret-4712"}
    )
    stack.get("/version?token=secret-4713")
    stack.get("/version")
    text = "\n".join(lines(stack))
    assert "secret-4711" not in text and "secret-4712" not in text, text[-2000:]
    assert "secret-4713" not in text, "a query may carry a token"


def test_json_format(start):
    s = start(settings={"DEX_LOG_FORMAT": "json"})
    path = s.tus.upload(b"abc")
    for line in lines(s):
        if line.startswith("{"):
            json.loads(line)
    own = [json.loads(x) for x in lines(s) if x.startswith("{")]
    assert any(x.get("upload_id") == upload_id(path) and x.get("status") == 204 for x in own), own


def test_log_to_a_file(start):
    with tempfile.TemporaryDirectory() as d:
        s = start(settings={"DEX_LOG": f"{d}/dex.log"})
        s.tus.upload(b"abc")
        with open(f"{d}/dex.log") as f:
            text = f.read()
        assert "method=PATCH" in text, text


def test_quiet_without_debug(start):
    s = start(settings={"LOGGER_DEBUG_ON": "false"})
    before = len(lines(s))
    for _ in range(5):
        s.get("/health")
    expect(s.get("/metrics"), 200)
    assert not [x for x in lines(s)[before:] if "level=debug" in x]
