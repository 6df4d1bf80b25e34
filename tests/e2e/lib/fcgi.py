# SPDX-License-Identifier: Apache-2.0
"""A FastCGI client: what reaches the responder when no web server looks at it first."""

import socket
import struct

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def _record(kind, data):
    return struct.pack("!BBHHBB", 1, kind, 1, len(data), 0, 0) + data


def _length(n):
    return bytes([n]) if n < 128 else struct.pack("!I", n | 0x80000000)


def request(path, params, body=b""):
    """One request to the socket ${path}; the answer as (status, head and body as bytes). Names and
    values of ${params} are bytes."""
    pairs = b"".join(_length(len(k)) + _length(len(v)) + k + v for k, v in params.items())
    out = _record(BEGIN, struct.pack("!HB5x", 1, 0))
    for at in range(0, len(pairs), 60000):
        out += _record(PARAMS, pairs[at : at + 60000])
    out += _record(PARAMS, b"")
    out += (_record(STDIN, body) if body else b"") + _record(STDIN, b"")
    answer = b""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(path)
        s.sendall(out)
        data = b""
        while True:
            while len(data) < 8 or len(data) < 8 + struct.unpack("!HB", data[4:7])[0] + data[6]:
                more = s.recv(65536)
                if not more:
                    raise ConnectionError("the responder closed")
                data += more
            size = struct.unpack("!H", data[4:6])[0]
            kind, content = data[1], data[8 : 8 + size]
            data = data[8 + size + data[6] :]
            if kind == STDOUT:
                answer += content
            elif kind == END:
                return int(answer.split(b" ", 2)[1]), answer
