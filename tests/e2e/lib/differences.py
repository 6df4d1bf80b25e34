# SPDX-License-Identifier: Apache-2.0
"""What web servers do differently with the same requests, found out by asking, and the table of it in
deploy/web-servers.md."""

import os
import select
import signal

from . import proc, servers
from .http import Closed
from .tus import payload

PAGE = f"{servers.ROOT}/deploy/web-servers.md"
BEGIN, END = "<!-- differences -->\n", "<!-- /differences -->\n"
SERVERS = {
    "nginx": "nginx",
    "apache": "Apache mod_proxy_fcgi",
    "lighttpd": "lighttpd",
    "fcgid": "Apache mod_fcgid",
    "cgi": "Apache CGI, `.htaccess`",
}
# After this long without it, a server is taken not to do something.
PATIENCE = 10
# Of a body, before a refusal is waited for: more than the responder itself takes in before it answers.
FIRST = 200_000
MIB = 1 << 20


def happens(condition):
    try:
        proc.until(condition, "", PATIENCE)
        return True
    except proc.Timeout:
        return False


def answer(c, seconds=PATIENCE):
    """What comes while a body is still being sent; None: nothing."""
    c.timeout(seconds)
    try:
        return c.response("PATCH")
    except TimeoutError:
        return None


def answered(c):
    """Something has come, or the end."""
    return bool(select.select([c.sock], [], [], 0)[0])


def of_a_broken_patch(s):
    data = payload(600_000)
    path = s.tus.new(1_000_000)
    with s.tus.start_patch(path, 0, 1_000_000) as c:
        c.send(data)
        happens(lambda: s.size(path) == len(data))
    kept = s.tus.offset(path)
    assert s.stored(path) == data[:kept]
    assert kept in (0, len(data)), kept
    return "are kept" if kept else "**are lost**"


def of_a_chunked_body(s):
    data = payload(100_000)
    path = s.tus.new(len(data))
    with s.tus.conn("PATCH", path, s.tus.patch_headers(0, {"Transfer-Encoding": "chunked"})) as c:
        c.chunk(data[:60_000])
        early = happens(lambda: s.size(path) == 60_000 or answered(c)) and not answered(c)
        c.chunk(data[60_000:])
        c.last_chunk()
        r = c.response("PATCH")
    if r.status != 204:
        return f"is refused: {r.status}"
    assert s.stored(path) == data
    return "arrives as it is sent" if early else "arrives when it is whole"


def of_a_post_without_length(s):
    r = s.tus.create(5, headers={"Content-Length": None})
    return "is taken" if r.status == 201 else f"is refused: {r.status}"


def of_an_early_refusal(s):
    path = s.tus.new(4 * MIB)
    with s.tus.start_patch(path, 7, 4 * MIB) as c:
        c.send(bytes(FIRST))
        # A CGI program waits for the rest of a body, but not for ten seconds.
        r = answer(c, PATIENCE / 2)
        early = r is not None
        if not early:
            c.send(bytes(4 * MIB - FIRST))
            c.timeout(30)
            r = c.response("PATCH")
    assert r.status == 409 and r.get("Tus-Resumable"), r
    return "at once" if early else "after the whole body"


def of_large_requests(s):
    limit = s.tus.options().get("Upload-Limit")
    if limit:
        limit = int(limit.removeprefix("max-append-size="))
        with s.tus.start_patch(s.tus.new(limit + 1), 0, limit + 1) as c:
            r = answer(c)
        assert r.status == 413 and r.text.startswith("ERR_MAX_SIZE") and r.get("Tus-Resumable"), r
        return f"{limit // MIB} MiB"
    path = s.tus.new(8 << 30)
    with s.tus.start_patch(path, 0, 8 << 30) as c:
        c.send(b"x" * 100)
        assert happens(lambda: s.size(path) == 100)
    return "no limit"


def of_expectations(s):
    path = s.tus.new(100_000)
    with s.tus.start_patch(path, 7, 100_000, {"Expect": "100-continue"}) as c:
        c.timeout(PATIENCE)
        first = c.sock.recv(12)
        assert first in (b"HTTP/1.1 100", b"HTTP/1.1 409"), first
    return "100 from the web server" if first.endswith(b"100") else "the refusal itself"


def dressed(r):
    """How an error of the web server itself looks."""
    bare = not r.get("Tus-Resumable")
    assert bare or (r.text.startswith("ERR_") and r.get("Access-Control-Allow-Origin") == "*"), r
    return f"{r.status}" + (", bare" if bare else " with headers")


def of_long_headers(s):
    passed, path = 0, s.tus.new(1)
    for size in (7, 15, 31, 63):
        r = s.tus.head(path, {"X-Long": "x" * size * 1000})
        if r.status != 200:
            return f"{passed} KB, then {dressed(s.tus.request('GET', path, {'X-Long': 'x' * size * 1000}))}"
        passed = size
    return f"{passed} KB"


def of_the_length_of_nothing(s):
    return "passed on" if s.tus.head(s.tus.new(1)).get("Content-Length") else "left out"


def take_away(s):
    """The responder is gone: nobody listens, or the program does not start."""
    if s.server not in servers.STARTS_PROGRAMS:
        s.fcgi.stop()
        return
    for at, _, names in os.walk(s.dir):
        for program in (os.path.join(at, n) for n in names if n == "dex-upload"):
            os.rename(program, f"{program}.away")
            servers.write(program, "#!/bin/false\n")
            os.chmod(program, 0o755)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").startswith(s.dir):
                os.kill(int(pid), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            pass


def of_an_absent_responder(s):
    take_away(s)
    try:
        return dressed(s.tus.create(5))
    except Closed:
        return "the connection ends"


BROKEN = "bytes of a PATCH that breaks off"
ROWS = {
    BROKEN: of_a_broken_patch,
    "a chunked body": of_a_chunked_body,
    "a POST without body and `Content-Length`": of_a_post_without_length,
    "a refusal (409, 413 …) of a body comes": of_an_early_refusal,
    "the largest request": of_large_requests,
    "`Expect: 100-continue` is answered by": of_expectations,
    "the longest header line": of_long_headers,
    "`Content-Length: 0` of a HEAD is": of_the_length_of_nothing,
    "answer while the responder is away": of_an_absent_responder,
}


def column(s):
    """{row: what this one does}; the stack is of no use afterwards."""
    return {row: find(s) for row, find in ROWS.items()}


def table(columns):
    """Markdown. ${columns}: {server: column}"""
    head = ["", *(SERVERS[name] for name in columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[row, *(c[row] for c in columns.values())] for row in ROWS]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page():
    """What stands before the table, in it and behind it."""
    with open(PAGE) as f:
        text = f.read()
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    assert begin and end, f"{PAGE} has no {BEGIN.strip()} … {END.strip()}"
    return before + begin, inside, end + after


def documented(server):
    """The column of the page."""
    rows = [line.strip("| \n").split(" | ") for line in page()[1].splitlines()]
    assert rows and rows[0][-len(SERVERS) :] == list(SERVERS.values()), rows[:1]
    at = list(SERVERS).index(server) - len(SERVERS)
    return {row[0]: row[at] for row in rows[2:]}
