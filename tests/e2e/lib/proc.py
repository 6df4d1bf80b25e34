# SPDX-License-Identifier: Apache-2.0
"""Processes, ports and waiting: nothing sleeps to be right, everything polls with a deadline."""

import contextlib
import os
import signal
import socket
import subprocess
import time


class Timeout(AssertionError):
    pass


def until(condition, what, seconds=10.0, pause=0.01):
    """Poll until condition() is true; its value. AssertionError when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"not within {seconds} s: {what}")
        time.sleep(pause)


@contextlib.contextmanager
def within(seconds, what):
    """What is done inside takes less. On a slow and busy machine the quick answer takes seconds, too:
    the time has to lie well above that, and below what it takes when the thing tested is missing."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    if took >= seconds:
        raise Timeout(f"{took:.1f} s, not within {seconds} s: {what}")


_taken = set()


def free_port():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _taken:
            _taken.add(port)
            return port


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def _state(pid):
    """The letter of proc(5); of a thread: PID/task/TID."""
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[0]


def alive(pid):
    """A zombie is dead."""
    try:
        return _state(pid) not in ("Z", "X")
    except OSError:
        return False


def stopped(pid):
    """SIGSTOP has reached every thread."""
    return all(_state(f"{pid}/task/{t}") == "T" for t in os.listdir(f"/proc/{pid}/task"))


class Daemon:
    """A process in a session of its own, its output in a file. ${user}, of pwd: whom it runs as."""

    def __init__(self, argv, log, cwd=None, env=None, stdin=subprocess.DEVNULL, user=None):
        self.argv = argv
        with open(log, "ab") as out:
            self.p = subprocess.Popen(
                argv, cwd=cwd, env=env, stdin=stdin, stdout=out, stderr=out, start_new_session=True,
                user=user.pw_uid if user else None, group=user.pw_gid if user else None,
            )  # fmt: skip
        self.pid = self.p.pid

    def running(self):
        return self.p.poll() is None

    def signal(self, sig):
        if self.running():
            self.p.send_signal(sig)

    def kill(self):
        """At once, with all that it has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.p.wait()

    def stop(self, seconds=15.0):
        """SIGTERM, wait, then SIGKILL for all that is left of it. The exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()
