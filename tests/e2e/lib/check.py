# SPDX-License-Identifier: Apache-2.0
"""Assertions with messages that show the answer."""

import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z\Z")
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def expect(r, status, **headers):
    """Status is one or one of several; header names with _ for -, None: must be absent."""
    wanted = status if isinstance(status, tuple) else (status,)
    assert r.status in wanted, f"expected {status}: {r}"
    for name, value in headers.items():
        name = name.replace("_", "-")
        got = r.get(name)
        if value is None:
            assert got is None, f"unexpected {name}: {r}"
        else:
            assert got == str(value), f"expected {name}: {value}: {r}"
    return r


def expect_error(r, status, code=None):
    """An error as tus clients know it: a text "CODE: sentence" and Tus-Resumable."""
    expect(r, status, Tus_Resumable="1.0.0")
    assert re.match(r"ERR_[A-Z_]+: \S", r.text), f"no CODE: sentence: {r}"
    assert r.get("Content-Type", "").startswith("text/plain"), r
    if code:
        assert r.text.startswith(code + ":"), f"expected {code}: {r}"
    return r
