# SPDX-License-Identifier: Apache-2.0
"""A client of S3 with nothing but the standard library, to look at what the programs did.
"""

import http.client
import urllib.parse
import xml.etree.ElementTree as ElementTree

from . import sigv4
from .http import dial

REGION = "us-east-1"


class Failed(Exception):
    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body[:500]!r}")
        self.status = status
        self.body = body


def send(addr, method, path, query, headers, body, good):
    """(headers in lower case, body); Failed for any status that is not ${good}."""
    c = http.client.HTTPConnection(*addr[:2], timeout=30)
    try:
        c.sock = dial(addr, 30)
        c.request(method, path + (f"?{query}" if query else ""), body, headers)
        r = c.getresponse()
        answer = r.read()
    finally:
        c.close()
    if r.status not in good:
        raise Failed(f"{method} {path}?{query}", r.status, answer)
    return {k.lower(): v for k, v in r.getheaders()}, answer


def quote(text, safe=""):
    return urllib.parse.quote(text, safe="-_.~" + safe)


def signed(method, host, path, query, headers, access, secret, now=None):
    """The headers of a request whose body is not part of the signature."""
    key = (access, secret)
    return sigv4.signed(
        method, host, path, query, headers, "UNSIGNED-PAYLOAD", key, "s3", REGION, now
    )


def _parse(body):
    """An XML answer without its name space."""
    root = ElementTree.fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


class Bucket:
    def __init__(self, addr, name, access, secret):
        self.addr = addr
        self.name = name
        self.access = access
        self.secret = secret

    def call(self, method, key="", query=None, headers=None, body=None, good=(200, 204, 206)):
        """(headers in lower case, body); Failed for any status that is not ${good}."""
        path = f"/{self.name}" + (f"/{quote(key, '/')}" if key else "")
        q = "&".join(f"{quote(k)}={quote(str(v))}" for k, v in sorted((query or {}).items()))
        host = f"{self.addr[0]}:{self.addr[1]}"
        h = signed(method, host, path, q, headers or {}, self.access, self.secret)
        return send(self.addr, method, path, q, h, body, good)

    def make(self):
        self.call("PUT")
        return self

    def put(self, key, data, metadata=None):
        self.call(
            "PUT",
            key,
            headers={f"x-amz-meta-{k}": v for k, v in (metadata or {}).items()},
            body=data,
        )

    def get(self, key):
        return self.call("GET", key)[1]

    def head(self, key):
        """(size, metadata as it stands in the headers)."""
        h, _ = self.call("HEAD", key)
        prefix = "x-amz-meta-"
        meta = {k[len(prefix) :]: v for k, v in h.items() if k.startswith(prefix)}
        return int(h["content-length"]), meta

    def list(self, prefix=""):
        """{key: size}."""
        found, more = {}, {}
        while True:
            query = {"list-type": 2, "prefix": prefix, **more}
            root = _parse(self.call("GET", query=query)[1])
            for entry in root.iter("Contents"):
                found[entry.findtext("Key")] = int(entry.findtext("Size"))
            if root.findtext("IsTruncated") != "true":
                return found
            more = {"continuation-token": root.findtext("NextContinuationToken")}

    def unfinished(self):
        """Keys of multipart uploads that were neither completed nor aborted."""
        found, more = [], {}
        while True:
            root = _parse(self.call("GET", query={"uploads": "", **more})[1])
            found += [u.findtext("Key") for u in root.iter("Upload")]
            if root.findtext("IsTruncated") != "true":
                return found
            more = {
                "key-marker": root.findtext("NextKeyMarker"),
                "upload-id-marker": root.findtext("NextUploadIdMarker"),
            }

    def abandon(self, key):
        """Begin a multipart upload and leave it there."""
        return _parse(self.call("POST", key, {"uploads": ""})[1]).findtext("UploadId")

    def delete(self, key):
        self.call("DELETE", key)

    def drop(self):
        """Remove the empty bucket itself."""
        self.call("DELETE")

    def let_read(self, user):
        """Let ${user} read what is in the bucket, by Swift's own interface."""
        who = {"X-Storage-User": self.access, "X-Storage-Pass": self.secret}
        h, _ = send(self.addr, "GET", "/auth/v1.0", "", who, None, (200, 204))
        h = {"X-Auth-Token": h["x-auth-token"], "X-Container-Read": user}
        send(self.addr, "POST", f"/v1/AUTH_test/{self.name}", "", h, None, (204,))
