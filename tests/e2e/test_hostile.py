# SPDX-License-Identifier: Apache-2.0
"""Hostile names and ids: nothing outside the configured folders is opened, changed or shown.

DEX_TEST_NAMES: how many names (5,000). They go to the responder directly, past the web server, which
would straighten some of them out. The oracles: strace on the responder, and a tree of canaries
outside whose files must neither be opened (inotify) nor change; links in storage and targets lead
to it.
"""

import ctypes
import os
import random
import re
import shutil
import subprocess

from lib import fcgi, proc
from lib.check import UNKNOWN_ID, expect
from lib.manifests import encode, manifest
from lib.runner import Skip
from lib.tus import OCT, upload_id

NAMES = int(os.environ.get("DEX_TEST_NAMES", "5000"))
CANARY = b"canary-4711: nobody reads this"
IN_ACCESS, IN_MODIFY, IN_OPEN, IN_CREATE, IN_DELETE = 0x1, 0x2, 0x20, 0x100, 0x200


class Watch:
    """Whether anybody has opened, made or removed something in these folders."""

    def __init__(self, folders):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0
        mask = IN_ACCESS | IN_MODIFY | IN_OPEN | IN_CREATE | IN_DELETE
        for folder in folders:
            assert self.libc.inotify_add_watch(self.fd, folder.encode(), mask) > 0, folder

    def seen(self):
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return b""


class Canaries:
    def __init__(self, s):
        self.dir = f"{s.dir}/canary"
        os.makedirs(f"{self.dir}/deep")
        self.files = [f"{self.dir}/secret", f"{self.dir}/deep/secret", f"{self.dir}/{UNKNOWN_ID}"]
        for path in self.files:
            with open(path, "wb") as f:
                f.write(CANARY)
            os.chmod(path, 0o666)
        for path in (self.dir, f"{self.dir}/deep"):
            os.chmod(path, 0o777)
        self.before = self.look()
        self.watch = Watch([self.dir, f"{self.dir}/deep"])

    def look(self):
        return sorted(
            (at, sorted(names), [os.stat(f"{at}/{n}").st_mtime_ns for n in sorted(names)])
            for at, _, names in os.walk(self.dir)
        )

    def check(self):
        assert self.watch.seen() == b"", "a canary was opened"
        assert self.look() == self.before
        for path in self.files:
            with open(path, "rb") as f:
                assert f.read() == CANARY
        assert self.watch.seen(), "the watch would see it"


def names(canary, n, seed=4711):
    """Bytes that no well-meaning client sends as an id or a name."""
    rng = random.Random(seed)
    up = [
        b"..", b"../", b"..\\", b"%2e%2e", b"%2e%2e%2f", b"..%2f", b"..%5c", b"%252e%252e%252f",
        b"..%c0%af", b"%c0%ae%c0%ae%c0%af", b"\xc0\xae\xc0\xae\xc0\xaf", b"\xe0\x80\xae",
        b"\xef\xbc\x8e\xef\xbc\x8e\xef\xbc\x8f", b"..;/", b"./", b".", b"//", b"....//",
    ]  # fmt: skip
    odd = [
        b"\0", b"%00", b"\\", b"\x01", b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", b"\xf8\x88\x80\x80",
        b" ", b"\t", b"\n", b"\r\n", b"~", b"$HOME", b"`id`", b"|", b"*", b"?", b"#", b":", b"CON",
        b"\xe2\x80\xae", b"a" * 300, b"{{.Filename}}", b"%s%n", b"'", b'"', b"<x>", b"\xcc\x88",
    ]  # fmt: skip
    ends = [
        canary.dir.encode() + b"/secret", b"/canary/secret", b"canary/secret", b"etc/passwd",
        b"/etc/passwd", b"state.db", b"locks/x", b"link", b"link/secret", b"proc/self/environ",
        UNKNOWN_ID.encode(), UNKNOWN_ID.upper().encode(), UNKNOWN_ID.encode() + b".info",
        UNKNOWN_ID.encode() + b"/../../canary/secret", b"00", b"",
    ]  # fmt: skip
    for k in range(n):
        parts = [rng.choice(up) for _ in range(rng.randrange(0, 7))]
        if rng.random() < 0.4:
            parts.insert(rng.randrange(len(parts) + 1), rng.choice(odd))
        joint = rng.choice([b"", b"", b"/", b"\\", b"%2f"])
        name = joint.join(parts) + rng.choice(ends)
        yield name if name else b"x%d" % k


def file_names(n, seed=4712):
    """Names that manifests let in, and that would be something else as a path."""
    rng = random.Random(seed)
    bits = [b"..", b".", b"...", b"link", b"~", b"-", b"--help", b".tmp", b"con", b"%2e", b" ",
        b"\xef\xbc\x8f", b"\xe2\x80\xae", b"{{", b"}}", b"$HOME", b"\\", b"canary"]  # fmt: skip
    for k in range(n):
        yield b"".join(rng.choice(bits) for _ in range(rng.randrange(1, 5))) or b"%d" % k


def plant(s, canary):
    """Links where the programs look: a folder of storage, an object, a report, a file of a target."""
    base = f"{s.data}/tus-prefix"
    planted = s.tus.new(5)
    os.makedirs(f"{base}/{upload_id(planted)[:2]}", exist_ok=True)
    victim = f"{base}/{upload_id(planted)[:2]}/{upload_id(planted)}"
    if os.path.exists(victim):
        os.unlink(victim)
    os.symlink(f"{canary.dir}/secret", victim)
    folder = "00" if upload_id(planted)[:2] != "00" else "01"
    if os.path.isdir(f"{base}/{folder}"):
        shutil.rmtree(f"{base}/{folder}")
    os.symlink(canary.dir, f"{base}/{folder}")
    os.symlink(canary.dir, f"{base}/link")
    for target in s.delivers_to:
        os.makedirs(f"{s.targets}/{target}", exist_ok=True)
        os.symlink(canary.dir, f"{s.targets}/{target}/link")
    return planted


class Direct:
    def __init__(self, s):
        self.socket = f"{s.web}/dex.sock"

    def ask(self, method, path, body=b"", **headers):
        params = {
            b"REQUEST_METHOD": method.encode(), b"SCRIPT_NAME": path, b"REQUEST_URI": path,
            b"SERVER_PROTOCOL": b"HTTP/1.1", b"REMOTE_ADDR": b"127.0.0.1", b"HTTP_HOST": b"h",
            b"CONTENT_LENGTH": b"%d" % len(body), b"HTTP_TUS_RESUMABLE": b"1.0.0",
        }  # fmt: skip
        for k, v in headers.items():
            name = k.upper() if k.startswith("content") else f"HTTP_{k.upper()}"
            params[name.encode()] = v
        return fcgi.request(self.socket, params, body)


def as_id(d, n, name):
    kind = n % 6
    if kind == 0:
        return d.ask("HEAD", b"/files/" + name)
    if kind == 1:
        return d.ask(
            "PATCH", b"/files/" + name, b"x", upload_offset=b"0", content_type=OCT.encode()
        )
    if kind == 2:
        return d.ask("DELETE", b"/files/" + name)
    if kind == 3:
        return d.ask("GET", b"/info/" + name)
    if kind == 4:
        return d.ask("POST", b"/route/" + name, b'{"target":"edav"}')
    return d.ask("GET", name)


def as_value(d, n, name):
    kind = n % 4
    if kind == 0:
        return d.ask("POST", b"/files", upload_concat=b"final;/files/" + name)
    if kind == 1:
        body = b'{"target":"' + name + b'"}'
        return d.ask("POST", b"/route/" + UNKNOWN_ID.encode(), body)
    field = ("data_stream_id", "version")[n % 2]
    meta = encode({**manifest(), field: name})
    return d.ask("POST", b"/files", upload_length=b"5", upload_metadata=meta.encode())


def deliverable(d, name):
    """An upload with this file name, if the manifest's rules let it in: it is delivered."""
    meta = encode({**manifest(), "received_filename": name}).encode()
    return d.ask(
        "POST", b"/files", b"12345", upload_length=b"5", upload_metadata=meta,
        content_type=OCT.encode(),
    )  # fmt: skip


class Trace:
    """What the responder has opened, made, moved and removed, as the kernel saw it."""

    CALL = re.compile(r"\b(\w+)\((.*)\)\s+= (-?\d+)(?:<(.*?)>)?")
    AT = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>, "((?:[^"\\]|\\.)*)"')

    def __init__(self, s):
        self.file = f"{s.dir}/trace"
        pids = [x for p in s.responder_pids() for x in ("-p", str(p))]
        self.strace = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "4096", "-e", "trace=%file", "-o", self.file, *pids],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self.strace.stderr.readline()
        if "attached" not in line:
            self.strace.wait()
            raise Skip(f"strace cannot attach: {line.strip()}")

    def end(self):
        self.strace.terminate()
        self.strace.communicate(timeout=20)

    def reached(self):
        """Paths of the calls that did something."""
        with open(self.file, errors="replace") as f:
            for line in f:
                m = self.CALL.search(line)
                if not m or int(m[3]) < 0:
                    continue
                if "O_PATH" in m[2]:
                    continue  # a step on the way, nothing is read
                if m[4]:
                    yield m[1], m[4]
                elif not re.search("stat|access|readlink|getcwd|statx", m[1]):
                    for base, name in self.AT.findall(m[2]):
                        yield m[1], os.path.normpath(os.path.join(base, name))


def hostile(start, sandbox, count):
    s = start(settings={"DEX_SANDBOX": sandbox, "LOGGER_DEBUG_ON": "false"})
    canary = Canaries(s)
    planted = plant(s, canary)
    d = Direct(s)
    trace = Trace(s) if shutil.which("strace") else None
    try:
        answers = {}
        for n, name in enumerate(names(canary, count)):
            ask = (as_id, as_value)[n % 8 == 7]
            status, answer = ask(d, n // (1 if ask is as_id else 8), name)
            answers[status] = answers.get(status, 0) + 1
            assert CANARY not in answer, (name, answer)
            # 503: storage that is not as it should be, for the planted folder
            assert status < 500 or status == 503, (name, answer)
        accepted = 0
        for name in (*file_names(count // 10), *names(canary, count // 20, 4713)):
            status, answer = deliverable(d, name)
            assert status in (201, 400, 503), (name, answer)  # 503: its id leads to the link
            accepted += status == 201
        assert accepted > count // 100, "too few were let in for deliveries to be looked at"
        # What was planted is neither followed nor shown.
        for r in (s.tus.head(planted), s.tus.patch(planted, 0, b"12345"), s.tus.delete(planted)):
            assert CANARY not in r.body, r
        expect(s.get("/health"), 200)
        canary.check()
    finally:
        if trace:
            trace.end()
    if trace:
        allowed = [
            s.data, s.targets, s.web, f"{s.dir}/delivery.yml", f"{s.dir}/log", "/proc", "/dev",
            "/etc", "/usr", "/lib", "/sys", s.settings["UPLOAD_CONFIG_PATH"],
        ]  # fmt: skip
        seen = 0
        for call, path in trace.reached():
            seen += 1
            path = path.removesuffix(" (deleted)")
            assert any(path == a or path.startswith(a + "/") for a in allowed), (call, path)
            assert path not in ("/etc/passwd", "/proc/self/environ"), (call, path)
        assert seen > accepted, "strace saw nothing"
    r = s.deliver()
    assert "Traceback" not in r.stderr and CANARY.decode() not in r.stdout + r.stderr, r
    canary.check()
    delivered = 0
    for target in s.delivers_to:
        for at, _, files in os.walk(f"{s.targets}/{target}"):
            assert os.path.realpath(at).startswith(f"{os.path.realpath(s.targets)}/{target}")
            delivered += len(files)
    assert delivered >= accepted // 2, (delivered, accepted)
    proc.until(lambda: s.get("/").status == 200, "the service answers")
    return answers


def test_names_reach_nothing_outside(start):
    hostile(start, "off", NAMES)


def test_names_within_the_sandbox(start):
    hostile(start, "auto", NAMES // 10)
