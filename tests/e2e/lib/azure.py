# SPDX-License-Identifier: Apache-2.0
"""A client of Azure Blob storage with nothing but the standard library; as lib/s3.py.

Signature: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

import base64
import hashlib
import hmac
import time
import xml.etree.ElementTree as ElementTree

from .s3 import quote, send

VERSION = "2021-12-02"


def signed(method, account, key, path, query, headers, length):
    """The headers of a request for ${path}, which is percent-encoded as it is sent."""
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    h = {k.lower(): v for k, v in headers.items()}
    h |= {"x-ms-date": now, "x-ms-version": VERSION}
    plain = ("content-encoding", "content-language", "", "content-md5", "content-type", "date",
             "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range")  # fmt: skip
    lines = [method] + [(str(length) if length else "") if not k else h.get(k, "") for k in plain]
    lines += [f"{k}:{h[k].strip()}" for k in sorted(h) if k.startswith("x-ms-")]
    lines += [f"/{account}{path}"] + [f"{k}:{v}" for k, v in sorted(query.items())]
    mac = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
    h["authorization"] = f"SharedKey {account}:{base64.b64encode(mac).decode()}"
    return h


class Container:
    """A container of an account whose name is the first segment of the path, as Azurite has it."""

    def __init__(self, addr, name, account, key):
        self.addr = addr
        self.name = name
        self.account = account
        self.key = key

    def call(self, method, blob="", query=None, headers=None, body=b"", good=(200, 201, 202)):
        """(headers in lower case, body); Failed for any status that is not ${good}."""
        path = f"/{self.account}/{self.name}" + (f"/{quote(blob, '/')}" if blob else "")
        query = {k: str(v) for k, v in (query or {}).items()}
        h = signed(method, self.account, self.key, path, query, headers or {}, len(body))
        if method in ("PUT", "POST"):
            h["content-length"] = str(len(body))
        q = "&".join(f"{quote(k)}={quote(v)}" for k, v in query.items())
        return send(self.addr, method, path, q, h, body or None, good)

    def make(self):
        self.call("PUT", query={"restype": "container"})
        return self

    def put(self, blob, data, metadata=None):
        h = {f"x-ms-meta-{k}": v for k, v in (metadata or {}).items()}
        self.call("PUT", blob, headers={"x-ms-blob-type": "BlockBlob", **h}, body=data)

    def get(self, blob):
        return self.call("GET", blob)[1]

    def head(self, blob):
        """(size, metadata as it stands in the headers)."""
        h, _ = self.call("HEAD", blob)
        prefix = "x-ms-meta-"
        meta = {k[len(prefix) :]: v for k, v in h.items() if k.startswith(prefix)}
        return int(h["content-length"]), meta

    def _list(self, prefix, include):
        found, marker = {}, ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix}
            query |= {"include": include} if include else {}
            query |= {"marker": marker} if marker else {}
            root = ElementTree.fromstring(self.call("GET", query=query)[1])
            for entry in root.iter("Blob"):
                found[entry.findtext("Name")] = int(entry.findtext(".//Content-Length") or 0)
            marker = root.findtext("NextMarker")
            if not marker:
                return found

    def list(self, prefix=""):
        """{name: size}."""
        return self._list(prefix, None)

    def unfinished(self):
        """Names of blobs that have blocks and were never committed."""
        return sorted(set(self._list("", "uncommittedblobs")) - set(self._list("", None)))

    def abandon(self, blob):
        """Put a block and leave it there."""
        self.call("PUT", blob, {"comp": "block", "blockid": "MDAwMQ=="}, body=b"left")

    def delete(self, blob):
        self.call("DELETE", blob)

    def drop(self):
        self.call("DELETE", query={"restype": "container"})
