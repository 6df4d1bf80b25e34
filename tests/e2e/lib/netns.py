# SPDX-License-Identifier: Apache-2.0
"""Machines that are network and mount namespaces, joined by a switch whose wires can be cut.

Nothing outside the namespaces is touched, and they go with their last process: namespaces(7),
veth(4), nft(8) for the family "bridge".
"""

import ctypes
import os
import shutil
import socket
import subprocess
import typing

from . import proc, servers

CLONE_NEWNET = 0x40000000
# What a machine has for itself; /etc begins as a copy.
OWN = ("etc", "run", "srv", "usr/local", "var")
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why there can be no machines here; None: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = (
        "mount --bind / / && ip link add name br0 type bridge && ip link add name v0 type veth peer name v1 &&"
        " nft add table bridge t && nft add chain bridge t c"
        " '{ type filter hook forward priority 0; }'"
    )
    r = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", probe], capture_output=True, text=True
    )
    return None if r.returncode == 0 else f"no namespaces here: {r.stderr.strip()[-200:]}"


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Machine:
    """${home}: a directory that is made. ${user}: whom its services may run as, beside those of
    this system."""

    def __init__(self, home, name, user=None):
        self.name = name
        self.home = home
        self.port = None  # of the switch
        self.daemons = []
        os.mkdir(home, 0o755)
        self.log_dir = f"{home}/log"
        os.mkdir(self.log_dir)
        os.chmod(self.log_dir, 0o1777)
        for own in OWN:
            os.makedirs(f"{home}/{own}", 0o755, exist_ok=True)
        shutil.copytree("/etc", f"{home}/etc", symlinks=True, dirs_exist_ok=True)
        if user:
            with open(f"{home}/etc/passwd", "a") as f:
                f.write(f"{user}:x:4711:4711::/nonexistent:/usr/sbin/nologin\n")
            with open(f"{home}/etc/group", "a") as f:
                f.write(f"{user}:x:4711:\n")
        self.holder = proc.Daemon(
            ["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"],
            f"{self.log_dir}/namespaces",
        )
        proc.until(self._apart, "the namespaces are there", 10)
        for own in OWN:
            self.run("mount", "--bind", f"{home}/{own}", f"/{own}")
        self.run("ip", "link", "set", "lo", "up")

    def _apart(self):
        here, there = (os.stat(f"/proc/{p}/ns/mnt").st_ino for p in ("self", self.holder.pid))
        with open(f"/proc/{self.holder.pid}/comm") as f:
            return here != there and f.read() == "sleep\n"

    def within(self, argv, user=None, group=None):
        """The command line that does ${argv} there, in its root folder."""
        become = ["setpriv", f"--reuid={user}", f"--regid={group or user}", "--init-groups", "--"]
        enter = ["nsenter", "-t", str(self.holder.pid), "--net", "--mount", "--"]
        return [*enter, *(become if user else []), *argv]

    def run(self, *argv):
        r = subprocess.run(self.within(argv), capture_output=True, text=True, timeout=60, env=ENV)
        assert r.returncode == 0, f"{self.name}: {argv}: {r.stderr}"
        return r

    def path(self, path):
        """Where a file of the machine is seen from outside."""
        return self.home + path

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        servers.write(self.path(path), text)
        os.chmod(self.path(path), mode)

    def start(self, name, argv, user=None, group=None, env=None):
        """A service, its output in a log of its ${name}."""
        log = f"{self.log_dir}/{name}.log"
        d = proc.Daemon(self.within(argv, user, group), log, env={**ENV, **(env or {})})
        self.daemons.append(d)
        return d

    def log(self, name):
        with open(f"{self.log_dir}/{name}.log", errors="replace") as f:
            return f.read()

    def pids(self, program):
        """Of the processes of its services that run ${program}."""
        found, todo = [], [d.pid for d in self.daemons]
        while todo:
            pid = todo.pop()
            todo += proc.children(pid)
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program:
                    found.append(pid)
            except OSError:
                pass
        return found

    def connect(self, addr, timeout):
        """A connection of this process that starts in the machine's network."""
        with (
            open("/proc/thread-self/ns/net") as here,
            open(f"/proc/{self.holder.pid}/ns/net") as there,
        ):
            _setns(there.fileno())
            try:
                return socket.create_connection(addr, timeout=timeout)
            finally:
                _setns(here.fileno())

    def kill(self):
        for d in self.daemons:
            d.kill()
        self.daemons = []

    def stop(self):
        """Names of what did not end when told."""
        stubborn = [d.argv[-1] for d in reversed(self.daemons) if d.stop() is None]
        self.daemons = []
        self.holder.stop()
        return stubborn


class Door(typing.NamedTuple):
    """An address that is reached from ${machine}; see http.dial. ${tls}: an SSLContext."""

    host: str  # as a client names it
    port: int
    ip: str
    machine: Machine
    tls: object = None

    def dial(self, timeout):
        s = self.machine.connect((self.ip, self.port), timeout)
        return self.tls.wrap_socket(s, server_hostname=self.host) if self.tls else s


class Switch:
    """What it forwards is up to it: cut() loses packets as a broken line does, nobody is told."""

    def __init__(self, home):
        self.machine = Machine(home, "switch")
        self.machine.run("ip", "link", "add", "name", "br0", "type", "bridge")
        self.machine.run("ip", "link", "set", "br0", "up")
        self.nft("add table bridge t")
        # First counted, then perhaps lost.
        self.nft("add chain bridge t counts { type filter hook forward priority 0; }")
        self.nft("add chain bridge t cuts { type filter hook forward priority 1; }")

    def nft(self, command):
        return self.machine.run("nft", command).stdout

    def plug(self, machine, *addresses):
        """${addresses}: of IPv4 with their prefix lengths."""
        machine.port = machine.name
        self.machine.run(
            "ip", "link", "add", "name", machine.port, "type", "veth", "peer", "name", "eth0",
            "netns", str(machine.holder.pid),
        )  # fmt: skip
        self.machine.run("ip", "link", "set", machine.port, "master", "br0", "up")
        for address in addresses:
            machine.run("ip", "address", "add", address, "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")

    def unplug(self, machine, on=False):
        self.machine.run("ip", "link", "set", machine.port, "up" if on else "down")

    def cut(self, one, other):
        """Between these two addresses, both ways."""
        for a, b in ((one, other), (other, one)):
            self.nft(f"add rule bridge t cuts ip saddr {a} ip daddr {b} drop")

    def heal(self):
        self.nft("flush chain bridge t cuts")

    def count_connections(self, source, to, port):
        """Count what ${source} opens to ${to}, or tries to."""
        self.nft(
            f"add rule bridge t counts ip saddr {source} ip daddr {to} tcp dport {port}"
            " tcp flags & (syn | ack) == syn counter"
        )

    def connections(self):
        """So far, for each counter in their order."""
        words = self.nft("list chain bridge t counts").split()
        return [int(words[i + 1]) for i, w in enumerate(words) if w == "packets"]

    def stop(self):
        self.machine.stop()
