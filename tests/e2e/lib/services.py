# SPDX-License-Identifier: Apache-2.0
"""The S3, Azure, SNS and SQS services that tests talk to, and the proxy that makes them fail.

One of each serves a whole run: s3(), azure() and bus() start it when it is first asked for, stop() ends
what was started. Every test takes a bucket or container of its own.
"""

import fcntl
import http.client
import json
import os
import secrets
import shutil
import subprocess
import tempfile

from . import proc
from .aws import Bus
from .azure import Container
from .s3 import REGION, Bucket
from .servers import ROOT

HERE = f"{ROOT}/tests/services"
BUILD = f"{ROOT}/build/services"
PYTHON = "/usr/bin/python3"  # the one that has Swift
# Swift's users: tests/services/s3_server.py.
S3_OWNER = ("test:owner", "owner-secret")
S3_READER = ("test:reader", "reader-secret")
AZURE_ACCOUNT = "dexaccount"
AZURE_KEY = "dGhlIGtleSBvZiB0aGUgdGVzdHMsIHdoaWNoIG9wZW5zIG5vdGhpbmcgYnV0IEF6dXJpdGU="

_started = {}  # name: service
_home = []  # the directory of the services


def install_packages():
    """The directory of the packages named in tests/services/package-lock.json."""
    os.makedirs(BUILD, exist_ok=True)
    lock, stamp = f"{HERE}/package-lock.json", f"{BUILD}/installed"
    with open(f"{BUILD}/lock", "w") as mutex, open(lock) as f:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        wanted = f.read()
        if not os.path.exists(stamp) or open(stamp).read() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(f"{HERE}/{name}", BUILD)
            r = subprocess.run(
                ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund",
                 "--loglevel=error"],
                cwd=BUILD, capture_output=True, text=True, timeout=600,
            )  # fmt: skip
            assert r.returncode == 0, f"the services cannot be installed: {r.stderr.strip()[-500:]}"
            with open(stamp, "w") as f:
                f.write(wanted)
    return f"{BUILD}/node_modules"


class Service:
    """A server process; ${argv} is made by the class for a port and a directory of its own."""

    def __init__(self, home, name, port=None):
        self.name = name
        self.port = port or proc.free_port()
        self.addr = ("127.0.0.1", self.port)
        self.dir = f"{home}/{name}"
        self.log = f"{home}/{name}.log"
        self.daemon = None

    def start(self):
        self.daemon = proc.Daemon(self.argv(), self.log)
        try:
            proc.until(self._is_up, f"{self.name} answers", 60, 0.05)
        except AssertionError as e:
            self.stop()
            with open(self.log, errors="replace") as f:
                raise AssertionError(f"{e}\n{f.read()[-2000:]}") from None
        return self

    def _is_up(self):
        assert self.daemon.running(), f"{self.name} ended"
        try:
            c = http.client.HTTPConnection(*self.addr, timeout=5)
            c.request("GET", "/")
            c.getresponse().read()
            c.close()
            return True
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        if self.daemon:
            self.daemon.stop()


class S3(Service):
    def argv(self):
        return [PYTHON, "-B", f"{HERE}/s3_server.py", self.dir, str(self.port)]

    def bucket(self, name=None, user=S3_OWNER, make=True):
        """A bucket; without ${name} a new one."""
        b = Bucket(self.addr, name or f"e2e-{secrets.token_hex(6)}", *user)
        return b if name or not make else b.make()


class Azurite(Service):
    def argv(self):
        program = f"{install_packages()}/azurite/dist/src/blob/main.js"
        return [
            "env", f"AZURITE_ACCOUNTS={AZURE_ACCOUNT}:{AZURE_KEY}", "node", program,
            "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", self.dir,
            "--disableTelemetry", "--silent",
        ]  # fmt: skip

    def container(self, name=None, key=AZURE_KEY, make=True):
        """A container; without ${name} a new one."""
        c = Container(self.addr, name or f"e2e-{secrets.token_hex(6)}", AZURE_ACCOUNT, key)
        return c if name or not make else c.make()


class Fauxqs(Service):
    """SNS and SQS, which look at no signature: see Guard."""

    def argv(self):
        return ["node", f"{HERE}/fauxqs.mjs", install_packages(), str(self.port)]


class Faults(Service):
    """tests/services/faults.py in front of ${service}; what it does is said by set()."""

    def __init__(self, home, service, seed):
        super().__init__(home, f"faults-{secrets.token_hex(3)}")
        self.service = service
        self.seed = seed
        self.control = proc.free_port()

    def argv(self):
        return [
            PYTHON, "-B", f"{HERE}/faults.py", "--seed", str(self.seed), str(self.port),
            str(self.control), f"{self.service.addr[0]}:{self.service.addr[1]}",
        ]  # fmt: skip

    def _is_up(self):
        assert self.daemon.running(), f"{self.name} ended"
        try:
            return self.seen() is not None
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=10)
        try:
            c.request(method, path, body)
            r = c.getresponse()
            answer = r.read()
        finally:
            c.close()
        assert r.status == 200, f"{method} {path}: {r.status} {answer!r}"
        return json.loads(answer)

    def set(self, *rules):
        """These rules from now on; their form stands in faults.py."""
        return self._ask("PUT", "/faults", json.dumps(list(rules)))

    def clear(self):
        return self.set()

    def seen(self):
        """{"requests": number, "faults": {kind: number}} since the start."""
        return self._ask("GET", "/faults")


class Guard(Faults):
    """SNS and SQS that refuse what is not signed with ${key}, and fail as they are told."""

    def __init__(self, home, service, seed=1):
        super().__init__(home, service, seed)
        self.keys = f"{home}/{self.name}.keys"
        self.key = ("AKIABUS", "bus/secret+" + secrets.token_hex(8))
        self.allow(self.key)

    def allow(self, *keys, expired=()):
        """These are good from now on: (access, secret) or (access, secret, token)."""
        known = {k[0]: {"secret": k[1], "token": k[2] if len(k) > 2 else None} for k in keys}
        known |= {k[0]: {"secret": k[1], "expired": True} for k in expired}
        with open(f"{self.keys}.new", "w") as f:
            json.dump(known, f)
        os.rename(f"{self.keys}.new", self.keys)

    def argv(self):
        argv = super().argv()
        return [*argv[:3], "--keys", self.keys, *argv[3:]]

    def client(self):
        """One that sees what is there whatever goes wrong with the requests of others."""
        return Bus(self.service.addr, self.key)

    def settings(self):
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key[0],
            "AWS_SECRET_ACCESS_KEY": self.key[1],
        }


def home():
    if not _home:
        # Beside the build: the file system of /tmp may not know extended attributes.
        os.makedirs(BUILD, exist_ok=True)
        _home.append(tempfile.mkdtemp(prefix="run-", dir=BUILD))
    return _home[0]


def _shared(name, make):
    if name not in _started:
        _started[name] = make(home(), name).start()
    return _started[name]


def s3():
    return _shared("s3", S3)


def azure():
    return _shared("azure", Azurite)


def bus():
    """A guard of its own for a test, which stops it, before SNS and SQS."""
    return Guard(home(), _shared("fauxqs", Fauxqs)).start()


def faults(service, seed=1):
    """A proxy of its own for a test, which stops it."""
    return Faults(home(), service, seed).start()


def stop():
    for service in _started.values():
        service.stop()
    _started.clear()
    for path in _home:
        shutil.rmtree(path, ignore_errors=True)
    _home.clear()


def s3_settings(service, bucket, addr=None):
    """Settings of upload storage in ${bucket}; ${addr}: where a proxy stands before the service."""
    host, port = addr or service.addr
    return {
        "S3_ENDPOINT": f"http://{host}:{port}",
        "S3_BUCKET_NAME": bucket.name,
        "AWS_ACCESS_KEY_ID": bucket.access,
        "AWS_SECRET_ACCESS_KEY": bucket.secret,
        "AWS_REGION": REGION,
    }


def azure_settings(service, container, addr=None):
    host, port = addr or service.addr
    return {
        "AZURE_ENDPOINT": f"http://{host}:{port}/{AZURE_ACCOUNT}",
        "AZURE_STORAGE_ACCOUNT": AZURE_ACCOUNT,
        "AZURE_STORAGE_KEY": container.key,
        "TUS_AZURE_CONTAINER_NAME": container.name,
    }
