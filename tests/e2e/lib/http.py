# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on a raw socket: partial bodies, stalls, resets, chunks and wrong requests."""

import socket
import struct


class Response:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers  # list of (name, value) as received
        self.body = body

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def tokens(self, name):
        return [t.strip() for v in self.all(name) for t in v.split(",") if t.strip()]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        head = "; ".join(f"{k}: {v}" for k, v in self.headers)
        return f"<{self.status} {self.reason} [{head}] {self.body[:300]!r}>"


class Closed(ConnectionError):
    """The server closed before a whole answer had come."""


def dial(addr, timeout):
    """A connection to (host, port), or to what knows by itself how it is reached."""
    own = getattr(addr, "dial", None)
    return own(timeout) if own else socket.create_connection(addr, timeout=timeout)


class Conn:
    def __init__(self, addr, timeout=30.0):
        self.addr = addr
        self.sock = dial(addr, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.interim = []  # 1xx answers seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def timeout(self, seconds):
        self.sock.settimeout(seconds)

    def send(self, data):
        self.sock.sendall(data)

    def head(self, method, path, headers):
        """Send the request line and headers; a value may be a list, None is left out."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.addr[0]}:{self.addr[1]}"]
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    lines.append(f"{name}: {one}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))

    def chunk(self, data):
        self.send(b"%x\r\n" % len(data) + data + b"\r\n")

    def last_chunk(self):
        self.send(b"0\r\n\r\n")

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(f"connection closed after {self.buf[:200]!r}")
        self.buf += data

    def _line(self):
        while b"\r\n" not in self.buf:
            self._fill()
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line.decode("latin-1")

    def _exactly(self, n):
        while len(self.buf) < n:
            self._fill()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def response(self, method="GET"):
        while True:
            version, _, rest = self._line().partition(" ")
            assert version in ("HTTP/1.1", "HTTP/1.0"), f"status line {version!r}"
            status, _, reason = rest.partition(" ")
            headers = []
            while line := self._line():
                name, _, value = line.partition(":")
                headers.append((name, value.strip()))
            r = Response(int(status), reason, headers, b"")
            if r.status // 100 != 1:
                break
            self.interim.append(r)
        if method == "HEAD" or r.status in (204, 304):
            return r
        if "chunked" in [t.lower() for t in r.tokens("Transfer-Encoding")]:
            while n := int(self._line().split(";")[0], 16):
                r.body += self._exactly(n)
                self._exactly(2)
            while self._line():
                pass
        elif r.get("Content-Length") is not None:
            r.body = self._exactly(int(r.get("Content-Length")))
        else:
            try:
                while True:
                    self._fill()
            except Closed:
                r.body, self.buf = self.buf, b""
        return r

    def closed_by_server(self):
        """True when the server closes within the socket's timeout."""
        try:
            return self.sock.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


def request(addr, method, path, headers=None, body=None, chunked=False, timeout=30.0):
    h = dict(headers or {})
    h.setdefault("Connection", "close")
    if chunked:
        h["Transfer-Encoding"] = "chunked"
    elif body is not None and "Content-Length" not in h:
        h["Content-Length"] = str(len(body))
    with Conn(addr, timeout) as c:
        c.head(method, path, h)
        try:
            if chunked:
                for at in range(0, len(body), 65536):
                    c.chunk(body[at : at + 65536])
                c.last_chunk()
            elif body:
                c.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early answer; it is read below
        return c.response(method)
