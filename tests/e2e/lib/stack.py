# SPDX-License-Identifier: Apache-2.0
"""A whole installation in a temporary directory: web server, responders, dex-deliver."""

import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile

from . import http, proc, prom, reports, servers, stores
from .redis import Redis
from .manifests import STREAMS
from .tus import Tus, upload_id

TARGETS = sorted({target for target, _ in STREAMS.values()})


def bin_dir():
    if os.environ.get("DEX_BIN"):
        return os.path.abspath(os.environ["DEX_BIN"])
    for flavour in ("asan", "debug", "release"):
        path = f"{servers.ROOT}/build/{flavour}"
        if os.access(f"{path}/dex-upload", os.X_OK):
            return path
    raise FileNotFoundError("no build found: make FLAVOUR=debug, or set DEX_BIN")


def delivery_config(targets):
    """The shipped routing with targets of our own, {name: target}."""
    lines = ["version: 1.0", "targets:"]
    lines += [stores.yaml_line(name, to) for name, to in targets.items()]
    lines.append("routing_groups:")
    templates = {
        "dextesting": "{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}_{{.UploadId}}",
        "pulsenet": "{{.DataStreamID}}/{{.DataStreamRoute}}/{{.Filename}}",
    }
    for (stream, route), (target, _) in STREAMS.items():
        lines.append(f"  - data_stream_id: {stream}")
        lines.append(f"    data_stream_route: {route}")
        lines.append("    delivery_targets:")
        lines.append(f"      - name: {target}")
        if stream in templates:
            lines.append(f"        path_template: '{templates[stream]}'")
    return "\n".join(lines) + "\n"


def lines_of(path):
    """The objects of a report file; [] when there is none."""
    try:
        with open(path) as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


class Stack:
    """${storage}: "file", "s3", "azure", or an ObjectStorage; ${deliver_to}: the kind of all
    targets ("file", "s3", "az-blob") or a function that makes the target of a name. ${state}: "sqlite",
    "redis", or a function that starts one in a directory. ${groups}: of ${responders} each, behind
    one web server, as on so many hosts. A setting of None is one that is not made."""

    def __init__(
        self, server="nginx", responders=1, settings=None, watch=False, config=None,
        storage="file", deliver_to="file", state="sqlite", groups=1,
    ):  # fmt: skip
        self.server = server
        self.responders_wanted = responders
        self.groups = groups
        self.all_responders = responders * groups
        self.dir = tempfile.mkdtemp(prefix="dex-e2e-")
        os.chmod(self.dir, 0o755)
        self.web = f"{self.dir}/web"
        self.data = f"{self.dir}/uploads"
        self.targets = f"{self.dir}/targets"
        self.reports_dir = f"{self.data}/reports"
        self.events_dir = f"{self.data}/events"
        self.state_db = f"{self.data}/state.db"
        for path in (self.web, f"{self.dir}/log", self.data):
            os.mkdir(path, 0o755)
        self.port = proc.free_port()
        self.ui_port = self.port if server == "cgi" else proc.free_port()
        self.addr = ("127.0.0.1", self.port)
        cgi = server == "cgi"
        self.prefix = servers.CGI_PREFIX if cgi else ""
        self.ui_prefix = servers.CGI_PAGE_PREFIX if cgi else ""
        self.store = stores.storage(storage, self.data) if isinstance(storage, str) else storage
        self.storage = self.store.kind
        if isinstance(deliver_to, str):
            kind = deliver_to
            deliver_to = lambda name: stores.target(kind, f"{self.targets}/{name}")  # noqa: E731
        self.delivers_to = {name: deliver_to(name) for name in TARGETS}
        self.delivery_file = f"{self.dir}/delivery.yml"
        servers.write(self.delivery_file, config or delivery_config(self.delivers_to))
        self.redis = None
        self.state = state if isinstance(state, str) else "redis"
        if self.state == "redis":
            make = Redis if state == "redis" else state
            self.redis = make(f"{self.dir}/redis")
        self.settings = {
            "SERVER_PORT": str(self.port),
            "UI_PORT": str(self.ui_port),
            "LOCAL_FOLDER_UPLOADS_TUS": self.data,
            "UPLOAD_CONFIG_PATH": f"{servers.ROOT}/upload-configs",
            "DEX_DELIVERY_CONFIG_FILE": self.delivery_file,
            "LOGGER_DEBUG_ON": "true",
            **self.store.settings,
            **(self.redis.settings if self.redis else {}),
            **{k: v for to in self.delivers_to.values() for k, v in to.env.items()},
            **(settings or {}),
        }
        self.settings = {k: v for k, v in self.settings.items() if v is not None}
        self.tus = Tus(self.addr, f"{self.prefix}/files")
        self.daemons = []
        self.front = self.fcgi = self.watcher = None
        self.fcgis = []  # one per group
        self.deaths_expected = False  # set where a test kills responders
        try:
            self._start(watch)
        except BaseException:
            self._end_all()
            raise

    # -- starting and stopping

    def binary(self, name):
        return f"{bin_dir()}/{name}"

    def sanitizer_env(self):
        log = f"log_path={self.dir}/log/sanitizer"
        return {
            "ASAN_OPTIONS": f"{log}:detect_leaks=1:abort_on_error=0",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
            "TSAN_OPTIONS": (
                f"{log}:halt_on_error=0:suppressions={servers.ROOT}/tests/tsan.supp"
                if os.path.exists(f"{servers.ROOT}/tests/tsan.supp")
                else log
            ),
        }

    def env(self, **more):
        keep = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LANG") if k in os.environ}
        return {**keep, **self.sanitizer_env(), **self.settings, **more}

    def _daemon(self, argv, log, cwd, env=None, user=None):
        d = proc.Daemon(argv, f"{self.dir}/log/{log}", cwd, env or self.env(), user=user)
        self.daemons.append(d)
        return d

    def start_responders(self, **env):
        self.fcgis = [self._start_group(n, env) for n in range(self.groups)]
        self.fcgi = self.fcgis[0]

    def socket(self, group):
        return f"dex{group or ''}.sock"

    def _start_group(self, n, env):
        return self._daemon(
            [
                servers.program("spawn-fcgi"), "-n", "-s", self.socket(n), "-M", "0666",
                "-b", "4096", "-d", self.dir, "--", servers.program("multiwatch"), "-f",
                str(self.responders_wanted), "-r", "1000", "-t", "200", "-s", "TERM", "--",
                self.binary("dex-upload"),
            ],
            f"dex-upload{n or ''}.log",
            self.web,
            self.env(**env),
        )  # fmt: skip

    def _user(self):
        """Whom the files belong to, where it is not ourselves."""
        return servers.worker_user() if self.server in servers.STARTS_PROGRAMS else None

    def start_watcher(self, **env):
        self.watcher = self._daemon(
            [self.binary("dex-deliver"), "--watch"], "dex-deliver.log", self.dir, self.env(**env),
            self._user(),
        )  # fmt: skip

    def _start(self, watch):
        argv = servers.START[self.server](self)
        self.front = self._daemon(argv, "front.log", self.web)
        if self.server not in servers.STARTS_PROGRAMS:
            self.start_responders()
        if watch:
            self.start_watcher()
        self.await_service()

    def await_service(self, seconds=15):
        def up():
            assert self.front.running(), f"{self.server} ended:\n{self.logs()}"
            try:
                return all(self.get("/", timeout=5).status == 200 for _ in range(self.groups))
            except OSError:
                return False

        try:
            proc.until(up, f"{self.server} answers", seconds, 0.02)
        except proc.Timeout as e:
            raise AssertionError(f"{e}\n{self.logs()}") from None

    def stop_responders(self):
        for d in self.fcgis:
            d.signal(signal.SIGTERM)
        return max((d.stop() for d in self.fcgis), key=lambda rc: 99 if rc is None else abs(rc))

    def _end_all(self):
        statuses = [(d.argv[0], d.stop()) for d in reversed(self.daemons)]
        self.daemons = []
        if self.redis:
            self.redis.stop()
        return statuses

    def stop(self, keep=False):
        """End everything, then look for what must not have happened. Removes the directory."""
        try:
            statuses = self._end_all()
            faults = [f"{name} did not end on SIGTERM" for name, rc in statuses if rc is None]
            for path in glob.glob(f"{self.dir}/log/sanitizer*"):
                with open(path, errors="replace") as f:
                    faults.append(f.read(6000))
            if not self.deaths_expected and "died, respawn" in self.logs():
                faults.append("a responder died")
            faults += [f"a secret stands in {path}" for path in self._that_tell_secrets()]
            if self.storage != "file" and os.path.exists(f"{self.data}/tus-prefix"):
                faults.append(f"uploads were kept in files, not in {self.storage}")
            if self.redis and glob.glob(f"{self.data}/state.db*"):
                faults.append("the state was kept in a file, not in Redis")
            for folder in (self.reports_dir, self.events_dir):
                faults += reports.faults_in(folder)
            for line in self.logs().splitlines():
                if "runtime error:" in line or "AddressSanitizer" in line:
                    faults.append(line)
            assert not faults, "at the end of the stack:\n" + "\n".join(faults)
        finally:
            if not keep:
                shutil.rmtree(self.dir, ignore_errors=True)

    def _that_tell_secrets(self):
        """Logs, reports, events and the state, where they have the key of a store in them."""
        stores = [self.store, *self.delivers_to.values(), *([self.redis] if self.redis else [])]
        secrets = {secret.encode() for store in stores for secret in store.secrets}
        if not secrets:
            return
        kept = glob.glob(f"{self.dir}/redis/**/appendonlydir", recursive=True)
        for base in (f"{self.dir}/log", f"{self.web}/log", self.data, *kept):
            for at, dirs, names in os.walk(base):
                dirs[:] = [d for d in dirs if d != "tus-prefix"]
                for path in (os.path.join(at, name) for name in names):
                    with open(path, "rb") as f:
                        text = f.read()
                    if any(secret in text for secret in secrets):
                        yield path

    # -- looking inside

    def logs(self, tail=None):
        text = []
        for path in sorted(glob.glob(f"{self.dir}/log/*.log") + glob.glob(f"{self.web}/log/*.log")):
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
            if lines:
                text.append(f"--- {os.path.basename(path)}")
                text += lines[-tail:] if tail else lines
        return "\n".join(text)

    def responder_pids(self):
        return [p for d in self.fcgis for p in proc.children(d.pid) if proc.alive(p)]

    def kill_responders(self):
        self.deaths_expected = True
        pids = self.responder_pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return pids

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{self.prefix}{path}"

    def ui_url(self, path=""):
        return f"http://127.0.0.1:{self.ui_port}{self.ui_prefix}{path}"

    def request(self, method, path, headers=None, body=None, **kw):
        return http.request(self.addr, method, self.prefix + path, headers, body, **kw)

    def get(self, path, headers=None, **kw):
        return self.request("GET", path, headers, **kw)

    def info(self, path_or_id):
        r = self.get(f"/info/{upload_id(path_or_id)}")
        assert r.status == 200, r
        return json.loads(r.body)

    def reports(self, path_or_id, action):
        """The objects of a report file; [] when there is none."""
        return lines_of(f"{self.reports_dir}/{upload_id(path_or_id)}_{action}")

    def events(self, path_or_id):
        return lines_of(f"{self.events_dir}/{upload_id(path_or_id)}_FileReady")

    def keeps_at(self, data, beside=None):
        """Where the folders are that the settings put elsewhere: data, and reports and events."""
        self.data, self.store = data, stores.FileStorage(data)
        self.reports_dir, self.events_dir = f"{beside or data}/reports", f"{beside or data}/events"

    def stored(self, path_or_id):
        """Bytes of the upload in storage, b"" when there are none. An object store has none before
        the upload is finished."""
        return self.store.stored(upload_id(path_or_id))

    def size(self, path_or_id):
        """How many bytes of an upload are safe: what a file has, what was put into a store."""
        data = self.stored(path_or_id)
        if data or self.storage == "file":
            return len(data)
        r = self.get(f"/info/{upload_id(path_or_id)}")
        info = json.loads(r.body)["file_info"] if r.status == 200 else None
        return info["size_bytes"] if info else 0

    def holds(self, path_or_id, data):
        """Whether ${data} is what is stored; of an unfinished object, whether it is as long."""
        stored = self.stored(path_or_id)
        if stored or self.storage == "file":
            return stored == data
        return self.size(path_or_id) == len(data)

    def arrivals(self, path_or_id):
        """A function that tells how many more bytes of an upload have come in, verified or not."""
        if self.storage == "file":
            before = self.size(path_or_id)
            return lambda: self.size(path_or_id) - before
        before = self._received()
        return lambda: self._received() - before

    def _received(self):
        return prom.Metrics(self.get("/metrics").text).get("tusd_bytes_received")

    def left(self, path_or_id):
        """Names of whatever storage has of an upload: object, parts, unfinished uploads."""
        return self.store.left(upload_id(path_or_id))

    def delivered(self, target):
        """{path below the target: content}; unfinished temporary names are not skipped."""
        return self.delivers_to[target].delivered()

    # -- the other program

    def deliver(self, *args, env=None, timeout=600):
        user = self._user()
        return subprocess.run(
            [self.binary("dex-deliver"), *args], cwd=self.dir, env=self.env(**(env or {})),
            capture_output=True, text=True, timeout=timeout,
            user=user.pw_uid if user else None, group=user.pw_gid if user else None,
        )  # fmt: skip

    def messages_are_due(self):
        """What a crash or a lost folder kept from being written is due a minute later: now."""
        if self.redis:
            return self.redis.messages_are_due()
        con = sqlite3.connect(self.state_db, timeout=20, isolation_level=None)
        con.execute("UPDATE outbox SET due_at = 0")
        con.close()

    def deliver_all(self):
        r = self.deliver()
        assert r.returncode == 0, (r.returncode, r.stdout, r.stderr)
        return r

    def check(self, *args, program="dex-upload", stdin=subprocess.DEVNULL, **settings):
        """Run a program that answers and ends, with other settings (None takes one away)."""
        env = {k: v for k, v in self.env(**settings).items() if v is not None}
        return subprocess.run(
            [self.binary(program), *args], cwd=self.dir, env=env, capture_output=True, text=True,
            timeout=30, stdin=stdin,
        )  # fmt: skip
