# SPDX-License-Identifier: Apache-2.0
"""A client of S3 with nothing but the standard library, to look at what the programs did.

Signature: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
import http.client
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

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


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed(method, host, path, query, headers, access, secret, now=None):
    """The headers of a request whose body is not part of the signature."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    h = {k.lower(): v for k, v in headers.items()}
    h |= {"host": host, "x-amz-date": stamp, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    names = ";".join(sorted(h))
    canonical = "\n".join(
        [method, path, query, *(f"{k}:{' '.join(h[k].split())}" for k in sorted(h)), "", names]
        + ["UNSIGNED-PAYLOAD"]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
    h["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return h


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
