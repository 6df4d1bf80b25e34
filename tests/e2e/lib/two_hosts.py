# SPDX-License-Identifier: Apache-2.0
"""deploy/two-hosts.md as it is written, each machine of it a namespace: see netns.py."""

import glob
import json
import os
import secrets
import shutil
import ssl
import tempfile

from . import guide, netns, proc, servers
from .certs import Authority
from .http import request
from .netns import Door, Machine, Switch
from .runner import Skip
from .s3 import REGION, Bucket
from .services import HERE, PYTHON, S3_OWNER
from .stack import bin_dir, lines_of
from .tus import Tus

# All that is not taken as the page has it: secrets that it leaves out, and the region of the S3
# service of the tests. Addresses, names and paths are its own.
SECRETS = {"PASSWORD": secrets.token_hex(12), "CSRF_TOKEN=…": f"CSRF_TOKEN={'c' * 40}"}
REPLACED = {
    **SECRETS,
    "AWS_ACCESS_KEY_ID=…": f"AWS_ACCESS_KEY_ID={S3_OWNER[0]}",
    "AWS_SECRET_ACCESS_KEY=…": f"AWS_SECRET_ACCESS_KEY={S3_OWNER[1]}",
    "eu-central-1": REGION,
}
S3_NAME = f"s3.{REGION}.amazonaws.com"
NAMES = {"redis.example.org": "10.0.0.5", S3_NAME: "10.0.0.6"}
PUBLIC = "upload.example.org"
REDIS, S3, HOSTS = "10.0.0.5", "10.0.0.6", ("10.0.0.11", "10.0.0.12")
SERVICES = {REDIS: 6379, S3: 443}
# Which files of the page go where; what it mentions and does not show comes after it.
FILES = {
    "redis": ("/etc/redis/redis.conf", "/etc/redis/users.acl"),
    "balancer": ("/etc/nginx/sites-enabled/balancer",),
    "host": (
        "/etc/dex-upload/dex-upload.env",
        "/etc/dex-upload/delivery.yml",
        "/etc/systemd/system/dex-upload.service",
        "/etc/systemd/system/dex-deliver.service",
        "/etc/nginx/sites-enabled/dex-upload",
    ),
}


class TwoHosts:
    def __init__(self):
        reason = netns.why_not()
        if reason:
            raise Skip(reason)
        self.dir = tempfile.mkdtemp(prefix="dex-e2e-")
        os.chmod(self.dir, 0o755)
        self.machines = []
        self.files = guide.files("two-hosts.md")
        try:
            self._start()
        except BaseException as e:
            e.add_note(self.logs())
            for m in self.machines:
                m.stop()
            shutil.rmtree(self.dir, ignore_errors=True)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if error:
            error.add_note(self.logs())
        self.stop(kind is None)

    # -- starting and stopping

    def _machine(self, name, *addresses, user=None):
        m = Machine(f"{self.dir}/{name}", name, user)
        self.machines.append(m)
        self.switch.plug(m, *addresses)
        with open(m.path("/etc/hosts"), "w") as f:
            f.writelines(
                f"{ip} {host}\n" for host, ip in {"localhost": "127.0.0.1", **NAMES}.items()
            )
        trusted = m.path("/etc/ssl/certs/ca-certificates.crt")
        with open(trusted, "a") as f, open(self.ca.cert) as ca:
            f.write(ca.read())
        return m

    def _install(self, machine, paths, mode=0o644):
        for path in paths:
            text = self.files[path]
            for old, new in REPLACED.items():
                text = text.replace(old, new)
            assert "…" not in text, f"{path} leaves more out than is put in"
            machine.write(path, text, mode)

    def _copy(self, machine, source, path, owner="root"):
        os.makedirs(os.path.dirname(machine.path(path)), exist_ok=True)
        shutil.copy(source, machine.path(path))
        machine.run("chown", owner, path)

    def _nginx(self, machine):
        for path in ("/var/log/nginx", "/var/lib/nginx"):
            os.makedirs(machine.path(path), exist_ok=True)
        default = machine.path("/etc/nginx/sites-enabled/default")
        if os.path.lexists(default):
            os.unlink(default)
        return machine.start("nginx", ["nginx", "-g", "daemon off;"])

    def _start(self):
        self.ca = Authority(f"{self.dir}/certs")
        self.switch = Switch(f"{self.dir}/switch")
        self.machines.append(self.switch.machine)
        self.client = self._machine("client", "192.0.2.9/24")
        self.redis = self._machine("redis", f"{REDIS}/24")
        self.store = self._machine("store", f"{S3}/24")
        self.balancer = self._machine("balancer", "10.0.0.2/24", "192.0.2.2/24")
        self.hosts = [
            self._machine(f"host{n}", f"{ip}/24", user="dex") for n, ip in enumerate(HOSTS, 1)
        ]
        tls = ssl.create_default_context(cafile=self.ca.cert)
        self.addr = Door(PUBLIC, 443, "192.0.2.2", self.client, tls)
        self.tus = Tus(self.addr)
        self.bucket, self.archive = (
            Bucket(Door(S3_NAME, 443, S3, self.client_inside(), tls), name, *S3_OWNER)
            for name in ("dex-uploads", "dex-archive")
        )
        self._start_store()
        self._start_redis()
        for host in self.hosts:
            self._prepare(host)
            self.start_host(host)
        for path in self.ca.issue("upload", PUBLIC):
            self._copy(self.balancer, path, f"/etc/ssl/{os.path.basename(path)}")
        self._install(self.balancer, FILES["balancer"])
        self._nginx(self.balancer)
        self.await_hosts()

    def client_inside(self):
        return self.balancer

    def _start_store(self):
        cert, key = self.ca.issue("s3", S3_NAME)
        # On a file system with extended attributes: services.py.
        buckets = ["--bucket", self.bucket.name, "--bucket", self.archive.name]
        argv = [PYTHON, "-B", f"{HERE}/s3_server.py", "--tls", cert, key, "--bind", S3]
        self.store.start("s3", [*argv, *buckets, f"{self.store.home}/data", "443"])

        def up():
            return "up 443" in self.store.log("s3")

        proc.until(up, "the S3 service is up", 60, 0.05)

    def _start_redis(self):
        self._install(self.redis, FILES["redis"])
        cert, key = self.ca.issue("redis", "redis.example.org")
        for source, name in ((cert, "redis.crt"), (key, "redis.key"), (self.ca.cert, "ca.crt")):
            self._copy(self.redis, source, f"/etc/redis/tls/{name}", "redis")
        # As Debian's package leaves them, and its unit starts it.
        os.makedirs(self.redis.path("/var/lib/redis"))
        self.redis.run("chown", "-R", "redis:redis", "/var/lib/redis", "/etc/redis")
        argv = ["redis-server", "/etc/redis/redis.conf", "--daemonize", "no"]
        self.redis.start("redis", argv, user="redis")

    def _prepare(self, host):
        self._install(host, FILES["host"])
        host.run("chown", "root:www-data", "/etc/dex-upload/dex-upload.env")
        os.chmod(host.path("/etc/dex-upload/dex-upload.env"), 0o640)
        self._copy(host, self.ca.cert, "/etc/ssl/redis-ca.crt")
        for name in ("dex-upload", "dex-deliver"):
            self._copy(host, f"{bin_dir()}/{name}", f"/usr/local/bin/{name}")
        configs = host.path("/usr/local/share/dex-upload/upload-configs")
        shutil.copytree(f"{servers.ROOT}/upload-configs", configs)

    def start_host(self, host):
        sanitizers = f"log_path={host.log_dir}/sanitizer"
        env = {"ASAN_OPTIONS": sanitizers, "UBSAN_OPTIONS": f"{sanitizers}:print_stacktrace=1"}
        for name in ("dex-upload", "dex-deliver"):
            with open(host.path(f"/etc/systemd/system/{name}.service")) as f:
                guide.Unit(f.read()).start(host, name, **env)
        self._nginx(host)

    def await_hosts(self):
        def up():
            try:
                inside = [self.door(h) for h in self.hosts]
                return all(
                    request(a, "GET", "/health", timeout=5).status == 200
                    for a in [*inside, self.addr]
                )
            except OSError:
                return False

        proc.until(up, "all hosts answer", 30, 0.1)

    def stop(self, well):
        try:
            faults = [f"{m.name}: {d} did not end" for m in self.machines for d in m.stop()]
            for path in glob.glob(f"{self.dir}/*/log/sanitizer*"):
                with open(path, errors="replace") as f:
                    faults.append(f.read(6000))
            told = self.logs()
            faults += ["a secret is told"] * any(x in told for x in SECRETS.values())
            assert not well or not faults, "\n".join(faults)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    # -- looking inside

    def count_connections(self, host):
        """From now on: what connections() tells."""
        ip = HOSTS[self.hosts.index(host)]
        for service, port in SERVICES.items():
            self.switch.count_connections(ip, service, port)

    def connections(self, service):
        """How many that one host opened to the service, or tried to."""
        return self.switch.connections()[list(SERVICES).index(service)]

    def logs(self, tail=8):
        text = []
        for path in sorted(glob.glob(f"{self.dir}/*/log/*.log")):
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
            if lines:
                text += [f"--- {os.path.relpath(path, self.dir)}", *lines[-tail:]]
        return "\n".join(text)

    def request(self, method, path, **kw):
        return request(self.addr, method, path, **kw)

    def door(self, host):
        """Straight to a host, past the balancer."""
        return Door(PUBLIC, 8080, HOSTS[self.hosts.index(host)], self.balancer)

    def serving(self):
        """The hosts that a request is at, past the balancer."""

        def busy(host):
            return host.run("ss", "-Htn", "state", "established", "sport = :8080").stdout

        return [h for h in self.hosts if busy(h)]

    def reports(self, upload):
        """What the reports of all hosts tell of the upload's deliveries."""
        below = "/var/lib/dex-upload/reports"
        found = [f for h in self.hosts for f in glob.glob(h.path(f"{below}/{upload}_blob-*copy"))]
        return [line for f in found for line in lines_of(f)]

    def delivered(self):
        return {key: self.archive.get(key) for key in self.archive.list()}

    def health(self, host):
        return json.loads(request(self.door(host), "GET", "/health", timeout=30).body)
