# SPDX-License-Identifier: Apache-2.0
"""The responder in its sandbox: what is in force, and that all it needs still works from within."""

import json
import os
import re
import signal
import ssl
import tempfile

from lib import proc
from lib.certs import Authority
from lib.check import UNKNOWN_ID, expect
from lib.introspection import Introspection
from lib.oidc import auth
from lib.redis import TlsRedis
from lib.runner import Skip


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(re.findall(r"(\w+):\s+(\S+)", f.read()))


def in_force(s):
    m = re.search(r'msg="?sandbox"?.* landlock=(\d+) seccomp=(\w+)', s.logs())
    return (int(m[1]), m[2] == "yes") if m else None


def sanitized(s):
    with open(s.binary("dex-upload"), "rb") as f:
        return b"__asan_init" in f.read() or b"__tsan_init" in f.read()


def test_it_is_in_force(start):
    s = start()
    if sanitized(s):
        raise Skip("a build with sanitizers")
    (pid,) = s.responder_pids()
    landlock, seccomp = in_force(s)
    assert status(pid)["NoNewPrivs"] == "1", status(pid)
    assert status(pid)["Seccomp"] == ("2" if seccomp else "0"), status(pid)
    assert s.logs().count('msg="sandbox"') + s.logs().count("msg=sandbox") == 1, "told once"
    for task in os.listdir(f"/proc/{pid}/task"):
        assert status(f"{pid}/task/{task}")["Seccomp"] == status(pid)["Seccomp"], task
    if landlock and seccomp:
        s = start(settings={"DEX_SANDBOX": "on"})
        assert in_force(s) == (landlock, seccomp)


def test_it_can_be_switched_off(start):
    s = start(settings={"DEX_SANDBOX": "off"})
    (pid,) = s.responder_pids()
    assert status(pid)["NoNewPrivs"] == "0" and status(pid)["Seccomp"] == "0", status(pid)
    assert in_force(s) is None
    r = s.check("--check-config", DEX_SANDBOX="maybe")
    assert r.returncode == 2 and "DEX_SANDBOX" in r.stderr, r


def test_a_log_is_opened_anew(start):
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        s = start(settings={"DEX_LOG": f"{d}/dex.log"})
        expect(s.get("/nothing"), 404)
        os.rename(f"{d}/dex.log", f"{d}/dex.log.1")
        for pid in s.responder_pids():
            os.kill(pid, signal.SIGHUP)

        def arrives():
            s.get("/nothing")
            return os.path.exists(f"{d}/dex.log") and os.path.getsize(f"{d}/dex.log")

        proc.until(arrives, "lines go to the new file", 10, 0.05)


def test_health_sees_targets_come_and_go(start):
    s = start()

    def down():
        services = json.loads(s.get("/health").body)["services"]
        return [x["service"] for x in services if x["status"] != "UP"]

    assert down() == []
    os.rename(f"{s.targets}/edav", f"{s.targets}/edav-away")
    s.stop_responders()
    s.start_responders()
    s.await_service()
    assert down() == [], "a folder that is missing is made"
    assert os.path.isdir(f"{s.targets}/edav")


def test_tls_from_within(start):
    """libcurl and what it needs are loaded, names resolved and certificates read after the start."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        authority = Authority(f"{d}/certs")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server", "localhost"))
        with Introspection(tls=context) as i:
            settings = {**i.settings, "OAUTH_REQUIRED_SCOPES": "dex:upload"}
            s = start(settings={**settings, "DEX_CA_FILE": authority.cert})
            expect(s.tus.head(f"/files/{UNKNOWN_ID}", auth("opaque")), 404)
            # With the system's certificates it is a stranger: they were read, and it is not there.
            s = start(settings=settings)
            r = s.tus.head(f"/files/{UNKNOWN_ID}", auth("opaque"))
            expect(r, 503)
            assert "certificate" in s.logs(), s.logs(tail=5)


def test_redis_over_tls_from_within(start):
    """Its certificates are read with each new connection."""
    s = start(state=TlsRedis, groups=1)
    s.tus.upload(b"abc")
    s.redis.stop()
    expect(s.tus.create(10), 503)
    s.redis.start()
    proc.until(lambda: s.tus.create(10).status == 201, "connected anew", 10, 0.2)
    s.deliver_all()


def test_syslog_from_within(start):
    s = start(settings={"DEX_LOG": "syslog"})
    expect(s.get("/version"), 200)
    s.tus.upload(b"abc")
