# SPDX-License-Identifier: Apache-2.0
"""`make run`: two side by side, Ctrl-C, a killed responder, a taken port, odd directories."""

import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile

from lib import http, proc, servers
from lib.check import expect
from lib.runner import Skip
from lib.stack import bin_dir
from lib.tus import Tus, upload_id


class Run:
    """deploy/run.sh, as make starts it."""

    def __init__(self, run_dir, cwd, **settings):
        self.port, self.ui_port = proc.free_port(), proc.free_port()
        self.addr = ("127.0.0.1", self.port)
        self.dir = os.path.join(cwd, run_dir)
        self.out = os.path.join(cwd, f"out-{self.port}")
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DEX_")},
            "DEX_BIN": bin_dir(),
            "RUN_DIR": run_dir,
            "SERVER_PORT": str(self.port),
            "UI_PORT": str(self.ui_port),
            **settings,
        }
        self.daemon = proc.Daemon([f"{servers.ROOT}/deploy/run.sh"], self.out, cwd, env)
        self.tree = set()

    def said(self):
        with open(self.out, errors="replace") as f:
            return f.read()

    def await_up(self):
        def up():
            assert self.daemon.running(), self.said()
            return "Ctrl-C" in self.said()

        proc.until(up, "make run says that it is up", 20)
        expect(http.request(self.addr, "GET", "/"), 200)
        self.tree = self.all_pids()
        return self

    def all_pids(self):
        found, todo = set(), [self.daemon.pid]
        while todo:
            pid = todo.pop()
            found.add(pid)
            todo += proc.children(pid)
        return found

    def named(self, name):
        """Pids below us whose program has this name."""
        found = []
        for pid in self.all_pids():
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    argv = f.read().split("\0")
            except OSError:
                continue
            if os.path.basename(argv[0].split(":")[0].split(" ")[0]) == name and proc.alive(pid):
                found.append(pid)
        return found

    def end(self, sig=signal.SIGTERM, seconds=8):
        """Signal, wait: nothing that it started is left, and the ports are free."""
        self.tree |= self.all_pids()
        self.daemon.signal(sig)
        try:
            self.daemon.p.wait(seconds)
        except subprocess.TimeoutExpired:
            self.daemon.stop(1)
            raise AssertionError(f"not ended {seconds} s after {sig}:\n{self.said()}") from None
        left = [p for p in self.tree if proc.alive(p)]
        assert not left, f"left behind: {left}"
        for port in (self.port, self.ui_port):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))

    def kill_all(self):
        for pid in self.all_pids() | self.tree:
            if pid != os.getpid() and proc.alive(pid):
                os.kill(pid, signal.SIGKILL)


def with_runs(test):
    """A directory, and a maker of runs that are gone afterwards whatever happens."""

    def wrapped():
        runs = []
        with tempfile.TemporaryDirectory(prefix="dex-e2e-run-") as d:
            os.chmod(d, 0o755)

            def make(run_dir="run", **settings):
                runs.append(Run(run_dir, d, **settings))
                return runs[-1]

            try:
                test(d, make)
            finally:
                for r in runs:
                    if r.daemon.running():
                        r.daemon.stop(10)
                        r.kill_all()

    wrapped.__name__ = test.__name__
    return wrapped


@with_runs
def test_ctrl_c_ends_everything(d, make):
    r = make().await_up()
    assert r.named("nginx") and r.named("dex-upload") and r.named("dex-deliver")
    r.end(signal.SIGINT)


@with_runs
def test_sigterm_while_bytes_flow(d, make):
    r = make().await_up()
    t = Tus(r.addr)
    path = t.new(1000)
    with t.start_patch(path, 0, 1000) as c:
        c.send(b"x" * 500)
        proc.until(lambda: stored(r, path) == b"x" * 500, "bytes are stored", 5)
        r.end(signal.SIGTERM)
    assert stored(r, path) == b"x" * 500


def stored(run, path):
    for at, _, names in os.walk(f"{run.dir}/uploads/tus-prefix"):
        if upload_id(path) in names:
            with open(os.path.join(at, upload_id(path)), "rb") as f:
                return f.read()
    return b""


@with_runs
def test_the_printed_command_works(d, make):
    r = make("a dir with spaces").await_up()
    line = re.search(r"^\s*(curl .*)$", r.said(), re.M)[1]
    argv = shlex.split(line)
    out = subprocess.run([*argv, "-sS"], capture_output=True, text=True, timeout=20, cwd="/")
    assert out.returncode == 0 and "201 Created" in out.stdout, out

    def delivered():
        return [
            n
            for _, _, names in os.walk(f"{r.dir}/uploads/edav")
            for n in names
            if n.endswith(".csv")
        ]

    proc.until(delivered, "dex-deliver --watch delivers it", 5)
    r.end()


@with_runs
def test_two_side_by_side(d, make):
    a, b = make("one").await_up(), make("two").await_up()
    pa = Tus(a.addr).upload(b"for a")
    pb = Tus(b.addr).upload(b"for b")
    expect(Tus(a.addr).head(pb), 404)
    a.end()
    expect(Tus(b.addr).head(pb), 200, Upload_Offset=5)
    b.end()
    assert stored(a, pa) == b"for a"


@with_runs
def test_data_outlive_the_run(d, make):
    a = make().await_up()
    path = Tus(a.addr).upload(b"still here")
    a.end()
    b = make().await_up()
    expect(Tus(b.addr).head(path), 200, Upload_Offset=10)
    b.end()


@with_runs
def test_killed_processes_come_back(d, make):
    r = make().await_up()
    for _ in range(4):
        (old,) = r.named("dex-upload")
        os.kill(old, signal.SIGKILL)
        proc.until(lambda old=old: set(r.named("dex-upload")) - {old}, "another responder", 5)
        expect(http.request(r.addr, "GET", "/", timeout=2), 200)
    for name in ("dex-deliver", "multiwatch"):
        (old,) = r.named(name)
        os.kill(old, signal.SIGKILL)
        proc.until(lambda name=name, old=old: set(r.named(name)) - {old}, f"another {name}", 10)
    old = r.named("nginx")
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    def answers():
        try:
            return http.request(r.addr, "GET", "/", timeout=2).status == 200
        except OSError:
            return False

    proc.until(answers, "everything answers again", 5)
    r.end()


def users(run, name):
    """Owners of the processes of that program."""
    return {os.stat(f"/proc/{pid}").st_uid for pid in run.named(name)}


def runs_as_its_user(run):
    """What root started serves as another user, who owns the data, and comes back as that."""
    uid = servers.worker_user().pw_uid
    path = Tus(run.addr).upload(b"abc")
    delivered = f"{run.dir}/uploads/edav"
    proc.until(lambda: os.path.isdir(delivered), "dex-deliver --watch delivers", 5)
    for where, folders, files in os.walk(f"{run.dir}/uploads"):
        for n in folders + files:
            assert os.lstat(f"{where}/{n}").st_uid == uid, f"{where}/{n}"
    (old,) = run.named("dex-upload")
    os.kill(old, signal.SIGKILL)
    proc.until(lambda: set(run.named("dex-upload")) - {old}, "another responder", 5)
    expect(Tus(run.addr).head(path), 200, Upload_Offset=3)
    for name in ("dex-upload", "dex-deliver", "multiwatch"):
        assert users(run, name) == {uid}, (name, users(run, name))
    return path


def only_as_root():
    if os.geteuid() != 0:
        raise Skip("only what root starts changes its user")


@with_runs
def test_root_is_left_behind(d, make):
    only_as_root()
    r = make().await_up()
    runs_as_its_user(r)
    assert "as root" not in r.said(), r.said()
    r.end()


@with_runs
def test_root_is_left_behind_below_a_closed_directory(d, make):
    only_as_root()
    os.chmod(d, 0o700)
    r = make().await_up()
    runs_as_its_user(r)
    for name in ("dex-upload", "dex-deliver"):
        (pid,) = r.named(name)
        with open(f"/proc/{pid}/status") as f:
            effective = int(re.search(r"CapEff:\s+(\w+)", f.read())[1], 16)
        assert effective in (0, 1 << 2), f"{name}: no more than CAP_DAC_READ_SEARCH: {effective:x}"
    r.end()


@with_runs
def test_data_of_an_earlier_root_are_taken_over_once(d, make):
    only_as_root()
    r = make().await_up()
    path = runs_as_its_user(r)
    r.end()
    stranger = f"{d}/stranger"
    with open(stranger, "w"):
        pass
    os.symlink(stranger, f"{r.dir}/uploads/link")
    subprocess.run(["chown", "-Rh", "root:root", f"{r.dir}/uploads"], check=True)
    r = make().await_up()
    expect(Tus(r.addr).head(path), 200, Upload_Offset=3)
    runs_as_its_user(r)
    assert os.stat(stranger).st_uid == 0, "links are not followed"
    r.end()


@with_runs
def test_a_folder_that_cannot_be_written_is_told(d, make):
    only_as_root()
    os.mkdir(f"{d}/mine", 0o755)
    r = make(LOCAL_REPORTS_FOLDER=f"{d}/mine")
    assert r.daemon.p.wait(10) != 0
    assert f"LOCAL_REPORTS_FOLDER={d}/mine cannot be written by" in r.said(), r.said()


@with_runs
def test_a_taken_port_is_told(d, make):
    a = make("one").await_up()
    b = make("two", SERVER_PORT=str(a.port))
    assert b.daemon.p.wait(10) != 0
    assert f"port {a.port} is taken" in b.said(), b.said()
    c = make("one")
    assert c.daemon.p.wait(10) != 0
    assert "in use by another run" in c.said(), c.said()
    expect(http.request(a.addr, "GET", "/"), 200)
    a.end()


@with_runs
def test_bad_settings_are_told(d, make):
    r = make(DEX_THREADS="many", SERVER_PROTOCOL="gopher")
    assert r.daemon.p.wait(10) != 0
    assert "DEX_THREADS" in r.said() and "SERVER_PROTOCOL" in r.said(), r.said()
    r = make(SERVER_PORT="99999")
    assert r.daemon.p.wait(10) != 0 and "99999" in r.said(), r.said()


@with_runs
def test_make_run(d, make):
    """The target itself, with its build: Ctrl-C as a terminal sends it, to the whole group."""
    port, ui_port = proc.free_port(), proc.free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith("DEX_")}
    p = proc.Daemon(
        ["make", "run", f"SERVER_PORT={port}", f"UI_PORT={ui_port}", f"RUN_DIR={d}/run"],
        f"{d}/out", servers.ROOT, env,
    )  # fmt: skip

    def said():
        with open(f"{d}/out") as f:
            return f.read()

    def up():
        assert p.running(), said()
        return "Ctrl-C" in said()

    try:
        proc.until(up, "make run is up", 300, 0.1)
        expect(http.request(("127.0.0.1", port), "GET", "/health"), 200)
        page = expect(http.request(("127.0.0.1", ui_port), "GET", "/"), 200)
        assert f"http://127.0.0.1:{port}/files/" in page.text
        expect(http.request(("127.0.0.1", ui_port), "GET", "/assets/ui.js"), 200)
        os.killpg(p.pid, signal.SIGINT)
        p.p.wait(10)
        proc.until(
            lambda: not proc.listening(port) and not proc.listening(ui_port), "the ports are free", 8
        )
    finally:
        p.stop()
