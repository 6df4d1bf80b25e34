# SPDX-License-Identifier: Apache-2.0
"""A tus 1.0.0 client that does exactly what the test says. A header given as None is left out."""

import os
from urllib.parse import urlsplit

from . import http
from .manifests import encode, manifest

OCT = "application/offset+octet-stream"
DEFAULT = object()


def payload(n):
    """n bytes that differ at every place and from run to run."""
    return os.urandom(n)


class Tus:
    def __init__(self, addr, files="/files"):
        self.addr = addr
        self.files = files

    def request(self, method, path, headers=None, body=None, **kw):
        h = {"Tus-Resumable": "1.0.0"}
        h.update(headers or {})
        return http.request(self.addr, method, path, h, body, **kw)

    def conn(self, method, path, headers, timeout=30.0):
        """An open connection on which head and default header have been sent; the test goes on."""
        h = {"Tus-Resumable": "1.0.0", "Connection": "close"}
        h.update(headers)
        c = http.Conn(self.addr, timeout)
        c.head(method, path, h)
        return c

    def create(self, length=None, meta=DEFAULT, headers=None, body=None, **kw):
        h = {}
        if length is not None:
            h["Upload-Length"] = str(length)
        if meta is DEFAULT:
            meta = manifest()
        if isinstance(meta, dict):
            meta = encode(meta)
        h["Upload-Metadata"] = meta
        if body is not None:
            h["Content-Type"] = OCT
        else:
            h["Content-Length"] = "0"
        h.update(headers or {})
        return self.request("POST", self.files, h, body, **kw)

    def path(self, response):
        location = response.get("Location")
        assert location, f"no Location in {response}"
        return urlsplit(location).path

    def new(self, length=None, meta=DEFAULT, headers=None, body=None):
        """Create and expect it to work; the path."""
        r = self.create(length, meta, headers, body)
        assert r.status == 201, r
        return self.path(r)

    def partial(self, data):
        path = self.new(len(data), None, {"Upload-Concat": "partial"})
        if data:
            r = self.patch(path, 0, data)
            assert r.status == 204, r
        return path

    def patch_headers(self, offset, headers=None):
        h = {"Content-Type": OCT, "Upload-Offset": str(offset)}
        h.update(headers or {})
        return h

    def patch(self, path, offset, data=b"", headers=None, **kw):
        return self.request("PATCH", path, self.patch_headers(offset, headers), data, **kw)

    def start_patch(self, path, offset, length, headers=None):
        """Head of a PATCH that promises ${length} bytes."""
        h = self.patch_headers(offset, {"Content-Length": str(length)})
        h.update(headers or {})
        return self.conn("PATCH", path, h)

    def head(self, path, headers=None, **kw):
        return self.request("HEAD", path, headers, **kw)

    def offset(self, path):
        r = self.head(path)
        assert r.status in (200, 204), r
        return int(r.get("Upload-Offset"))

    def delete(self, path, headers=None, **kw):
        return self.request("DELETE", path, headers, **kw)

    def options(self, path=None, headers=None):
        h = {"Tus-Resumable": None}
        h.update(headers or {})
        return self.request("OPTIONS", path or self.files, h)

    def upload(self, data, meta=DEFAULT, chunk=None):
        """A whole upload; the path."""
        path = self.new(len(data), meta)
        step = chunk or max(len(data), 1)
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            r = self.patch(path, at, piece)
            assert r.status == 204, r
            assert r.get("Upload-Offset") == str(at + len(piece)), r
        return path

    def finish(self, path, data):
        """Go on until all bytes are there, as a client does: a request of its own that broke off
        may still reach the responder after the HEAD that followed it."""
        for _ in range(10):
            offset = self.offset(path)
            if offset == len(data):
                return
            r = self.patch(path, offset, data[offset:])
            assert r.status in (204, 409, 423), r
        raise AssertionError(f"still at {offset} of {len(data)}")


def upload_id(path):
    return path.rstrip("/").rsplit("/", 1)[-1]
