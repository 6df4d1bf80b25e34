# SPDX-License-Identifier: Apache-2.0
"""A Redis of a scenario's own, and a client with nothing but the standard library.

Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import os
import re
import secrets
import signal
import socket
import urllib.parse

from . import proc, servers
from .certs import Authority


# What servers agree on among themselves: soon, but nobody knows when on a busy machine.
LONG = 180


class Refused(Exception):
    """An error reply."""


class Client:
    def __init__(self, addr, password=None, timeout=10):
        self.sock = socket.create_connection(addr, timeout=timeout)
        self.buf = b""
        if password:
            self.call("AUTH", password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("Redis closed the connection")
        self.buf += data

    def _line(self):
        while b"\r\n" not in self.buf:
            self._more()
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line.decode()

    def _reply(self):
        line = self._line()
        kind, rest = line[0], line[1:]
        if kind == "-":
            raise Refused(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            n = int(rest)
            if n < 0:
                return None
            while len(self.buf) < n + 2:
                self._more()
            data, self.buf = self.buf[:n], self.buf[n + 2 :]
            return data.decode("utf-8", "replace")
        if kind == "*":
            return [self._reply() for _ in range(int(rest))]
        return rest

    def call(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        )
        return self._reply()


class Watch:
    """What clients ask a Redis, each a round trip, by MONITOR. Not what scripts do inside it, and
    not what belongs to no request: greeting, subscribing, looking after leases."""

    OTHERS = ("PING", "AUTH", "SELECT", "SUBSCRIBE", "ECHO", "MONITOR")

    def __init__(self, redis):
        self.redis = redis
        self.client = redis.client()
        self.client.call("MONITOR")

    def seen(self):
        """The names of the commands since the last call."""
        mark = secrets.token_hex(8)
        self.redis.call("ECHO", mark)
        names = []
        while mark not in (line := self.client._line()):
            words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
            if " lua] " not in line and words and not self._other(words):
                names.append(words[0].upper())
        return names

    def _other(self, words):
        # Of leases the first argument is a time and not an upload's id.
        lease = words[0] == "EVALSHA" and words[2] == "2" and len(words[5]) < 5
        return lease or words[0].upper() in self.OTHERS


# What a message of the outbox has to be found by: backends/state_redis.h.
DUE = """
local o = KEYS[1]
local r = redis.call('HMGET', o, 'upload', 'sink')
if not r[1] then return 0 end
local base, name = string.match(o, '^(.*:)o:(%d+)$')
redis.call('HSET', o, 'due_at', '0')
redis.call('ZADD', base .. 'late', 'XX', 0, name)
redis.call('ZADD', base .. 'h:' .. r[2], 'XX', 0, r[1])
return 1
"""


class Redis:
    """Keeps what it acknowledges. ${home}: a directory that is made. ${more}: lines of its
    configuration."""

    def __init__(self, home, replica_of=None, password=None, more=()):
        self.dir = home
        self.port = proc.free_port()
        self.addr = ("127.0.0.1", self.port)
        self.password = password or secrets.token_hex(12)
        self.secrets = (self.password,)
        self.daemon = None
        os.mkdir(home, 0o755)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {home}",
            f"requirepass {self.password}",
            f"masterauth {self.password}",
            "save ''",
            "appendonly yes",
            "appendfsync always",
            "repl-diskless-sync-delay 0",
            *more,
        ]
        if replica_of:
            lines.append(f"replicaof 127.0.0.1 {replica_of.port}")
        servers.write(f"{home}/redis.conf", "\n".join(lines) + "\n")
        self.start()

    @property
    def settings(self):
        return {"REDIS_CONNECTION_STRING": f"redis://:{self.password}@127.0.0.1:{self.port}"}

    def client(self, timeout=10):
        return Client(self.addr, self.password, timeout)

    def call(self, *words):
        with self.client() as c:
            return c.call(*words)

    def _up(self):
        assert self.daemon.running(), f"redis-server ended, see {self.dir}/log"
        try:
            return self.call("PING") == "PONG"
        except (OSError, Refused):
            return False

    def start(self, replica_of=None):
        argv = [servers.program("redis-server"), f"{self.dir}/redis.conf"]
        if replica_of:
            argv += ["--replicaof", "127.0.0.1", str(replica_of)]
        self.daemon = proc.Daemon(argv, f"{self.dir}/log", self.dir)
        proc.until(self._up, "Redis answers", 20, 0.02)

    def stop(self):
        if self.daemon:
            self.pause(False)
            self.daemon.stop()
        self.daemon = None

    def kill(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.p.wait()

    def pause(self, on=True):
        self.daemon.signal(signal.SIGSTOP if on else signal.SIGCONT)

    def keys(self, pattern):
        return self.call("KEYS", pattern)

    def messages_are_due(self):
        with self.client() as c:
            for key in c.call("KEYS", "dex:{?}:o:*"):
                c.call("EVAL", DUE, 1, key)


class TlsRedis(Redis):
    """Asks for a certificate of its clients. Files are where they have to be percent-encoded."""

    def __init__(self, home):
        self.tls_port = proc.free_port()
        self.trusted, own = Authority(f"{home}-a & b"), Authority(f"{home}-100% c")
        cert, key = self.trusted.issue("server", "localhost")
        self.pair = own.issue("client")
        more = [
            f"tls-port {self.tls_port}",
            f'tls-cert-file "{cert}"',
            f'tls-key-file "{key}"',
            f'tls-ca-cert-file "{own.cert}"',
            "tls-auth-clients yes",
        ]
        super().__init__(home, more=more)

    @property
    def settings(self):
        names = ("ca_file", "cert_file", "key_file")
        files = zip(names, (self.trusted.cert, *self.pair), strict=True)
        options = "&".join(f"{k}={urllib.parse.quote(v, safe='/')}" for k, v in files)
        where = f"rediss://:{self.password}@localhost:{self.tls_port}?{options}"
        return {"REDIS_CONNECTION_STRING": where}


class Sentinels:
    """A master, a replica and three Sentinels that watch them; see Redis for the names."""

    name = "dex"

    def __init__(self, home):
        os.mkdir(home, 0o755)
        self.master = Redis(f"{home}/one")
        self.password = self.master.password
        self.secrets = (self.password,)
        self.replica = Redis(f"{home}/two", self.master, self.password)
        self.dir = home
        self.ports = []
        self.daemons = []
        proc.until(lambda: self._follows(self.replica), "the replica follows", LONG, 0.05)
        for n in range(3):
            self._start_sentinel(n)
        proc.until(self.settled, "the Sentinels agree", LONG, 0.1)

    @staticmethod
    def _follows(redis):
        return "master_link_status:up" in redis.call("INFO", "replication")

    def settled(self):
        """All Sentinels know each other and name one master, none doubts it, and the other
        follows it: nothing will happen by itself."""
        try:
            told = [self._about_master(n) for n in range(len(self.ports))]
            names = ("port", "flags", "num-other-sentinels", "num-slaves")
            seen = {tuple(about[x] for x in names) for about in told}
            if seen != {(str(self.master_port()), "master", "2", "1")}:
                return False
            return self._follows(self.replica if self.current() is self.master else self.master)
        except (OSError, Refused, KeyError):
            return False

    def _start_sentinel(self, n):
        port = proc.free_port()
        where = f"{self.dir}/sentinel{n}"
        os.mkdir(where)
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {where}",
            f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 2",
            f"sentinel auth-pass {self.name} {self.password}",
            f"sentinel down-after-milliseconds {self.name} 1000",
            f"sentinel failover-timeout {self.name} 5000",
        ]
        servers.write(f"{where}/conf", "\n".join(lines) + "\n")
        argv = [servers.program("redis-sentinel"), f"{where}/conf"]
        self.daemons.append(proc.Daemon(argv, f"{where}/log", where))
        self.ports.append(port)

    def ask(self, n, *words):
        with Client(("127.0.0.1", self.ports[n])) as c:
            return c.call(*words)

    def _about_master(self, n):
        r = self.ask(n, "SENTINEL", "MASTER", self.name)
        return dict(zip(r[::2], r[1::2], strict=True))

    @property
    def settings(self):
        hosts = ",".join(f"127.0.0.1:{p}" for p in self.ports)
        return {"REDIS_CONNECTION_STRING": f"redis+sentinel://:{self.password}@{hosts}/{self.name}"}

    def master_port(self):
        return int(self.ask(0, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def current(self):
        return self.master if self.master_port() == self.master.port else self.replica

    def call(self, *words):
        return self.current().call(*words)

    def messages_are_due(self):
        self.current().messages_are_due()

    def stop(self):
        for d in self.daemons:
            d.stop()
        self.master.stop()
        self.replica.stop()
