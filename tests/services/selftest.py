#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the other tests rely on: the two services, the clients in lib/ and every kind of fault."""

import http.client
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

from lib import services  # noqa: E402
from lib.azure import Container  # noqa: E402
from lib.s3 import Bucket, Failed  # noqa: E402

BROKEN = (OSError, http.client.HTTPException)
NAME = "a/b c+ü=%&'.txt"


def refused(status, method, *args):
    try:
        method(*args)
    except Failed as e:
        assert e.status == status, e
        return e.body.decode()
    raise AssertionError(f"{method.__name__}{args} was not refused with {status}")


def breaks(method, *args):
    try:
        method(*args)
    except BROKEN:
        return
    raise AssertionError(f"{method.__name__}{args} did not break")


def check_store(b):
    data = os.urandom(300000)
    b.put(NAME, data, {"data_stream_id": "x y"})
    b.put("other/empty", b"")
    assert b.get(NAME) == data
    assert b.head(NAME) == (len(data), {"data_stream_id": "x y"}), b.head(NAME)
    assert b.list() == {NAME: len(data), "other/empty": 0}, b.list()
    assert b.list("other/") == {"other/empty": 0}
    b.abandon("left/behind")
    assert b.unfinished() == ["left/behind"], b.unfinished()
    b.delete(NAME)
    refused(404, b.get, NAME)


def check_rights(s3, azure):
    b = s3.bucket()
    b.put("k", b"1")
    reader = s3.bucket(b.name, services.S3_READER)
    assert "AccessDenied" in refused(403, reader.get, "k")
    b.let_read(reader.access)
    assert reader.get("k") == b"1"
    assert "AccessDenied" in refused(403, reader.put, "k", b"2")
    wrong = s3.bucket(b.name, (b.access, "wrong"))
    assert "SignatureDoesNotMatch" in refused(403, wrong.get, "k")
    assert "NoSuchBucket" in refused(404, s3.bucket("nowhere").list)
    c = azure.container()
    wrong = azure.container(c.name, key="d3Jvbmc=")
    assert "AuthorizationFailure" in refused(403, wrong.list)
    assert "ContainerNotFound" in refused(404, azure.container("nowhere").list)


def check_faults(b, faults):
    """${b} reaches its service through ${faults}."""
    data = os.urandom(1000000)
    b.put("k", data)
    assert b.get("k") == data, "nothing happens without rules"
    busy = "SlowDown" if isinstance(b, Bucket) else "ServerBusy"
    faults.set({"kinds": ["busy"], "match": "^PUT .*/k$", "count": 1})
    assert busy in refused(503, b.put, "k", data)
    b.put("k", data)
    faults.set({"kinds": ["skewed"], "count": 1})
    assert "RequestTimeTooSkewed" in refused(403, b.get, "k")
    for kind in ("reset", "reset-answer", "lost-answer"):
        faults.set({"kinds": [kind], "count": 1})
        breaks(b.get, "k")
        assert b.get("k") == data, kind
    faults.set({"kinds": ["reset-request"], "count": 1})
    breaks(b.put, "half", data)
    refused(404, b.get, "half")
    faults.set({"kinds": ["lost-answer"], "count": 1})
    breaks(b.put, "unheard", data)
    assert b.get("unheard") == data
    faults.set({"kinds": ["cut"], "count": 1})
    assert b.get("k") == data[: len(data) // 2]
    faults.set({"kinds": ["delay"], "delay_ms": 100, "count": 1})
    began = time.monotonic()
    assert b.get("k") == data and time.monotonic() - began >= 0.1
    faults.set({"kinds": ["throttle"], "bytes_per_s": 5000000, "count": 1})
    began = time.monotonic()
    assert b.get("k") == data and time.monotonic() - began >= 0.15
    faults.set({"kinds": ["busy"], "rate": 0.3})
    told = sum(1 for _ in range(100) if _is_refused(b))
    assert 10 < told < 60, f"{told} of 100 with a rate of 0.3"
    faults.clear()
    counted = faults.seen()["faults"]
    assert counted["lost-answer"] == 2 and counted["busy"] == told + 1, counted


def _is_refused(b):
    try:
        b.head("k")
        return False
    except Failed:
        return True


def check_error_in_200(b, faults):
    upload = b.abandon("parts")
    faults.set({"kinds": ["error-in-200"], "count": 2})
    query = {"uploadId": upload}
    _, answer = b.call("POST", "parts", query, body=b"<CompleteMultipartUpload/>")
    assert b"<Error>" in answer, answer
    b.put("source", b"x")
    _, answer = b.call("PUT", "copy", headers={"x-amz-copy-source": f"/{b.name}/source"})
    assert b"<Error>" in answer, answer
    refused(404, b.get, "copy")
    faults.clear()


def main():
    proxies = []
    try:
        s3, azure = services.s3(), services.azure()
        for store in (s3.bucket(), azure.container()):
            check_store(store)
        check_rights(s3, azure)
        for service in (s3, azure):
            faults = services.faults(service)
            proxies.append(faults)
            store = s3.bucket() if service is s3 else azure.container()
            store.addr = faults.addr
            assert isinstance(store, (Bucket, Container))
            check_faults(store, faults)
            if service is s3:
                check_error_in_200(store, faults)
    finally:
        for faults in proxies:
            faults.stop()
        services.stop()


if __name__ == "__main__":
    main()
