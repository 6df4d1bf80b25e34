# SPDX-License-Identifier: Apache-2.0
"""g: requests with a JWT beside the same ones where nobody is asked for a token."""

import contextlib
import random

import measure
from front import METADATA, Front, http

from lib.oidc import Issuer, auth

CONNECTIONS = 16
SECONDS = 4
ALGS = ("RS256", "ES256")
AIM = 0.85
WHAT = {"head": "HEAD of an upload", "upload": "10 KiB uploads"}


class Side:
    """An installation, and the token that its requests carry (None: authorization is off)."""

    def __init__(self, front, token):
        self.front = front
        self.token = token
        h = {
            "Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": METADATA,
            "Content-Length": "0", **(auth(token) if token else {}),
        }  # fmt: skip
        r = http.request(front.addr, "POST", "/files", h)
        assert r.status == 201, r
        self.path = "/" + r.get("Location").split("/", 3)[3]

    def one(self, load, what, seconds):
        if what == "head":
            return load.heads(self.front.port, self.path, CONNECTIONS, seconds, self.token)
        return load.uploads(self.front.port, METADATA, CONNECTIONS, seconds, token=self.token)


def report(out, data):
    for what, words in WHAT.items():
        for name in data[0]:
            rates = [r[name][what]["rate"] for r in data]
            ratios = [r[name][what]["rate"] / r["none"][what]["rate"] for r in data]
            peer = name == "none"
            out.line(
                "g",
                f"{words}, {'no token' if peer else 'token ' + name}",
                f"{measure.median(rates):.0f} /s ({measure.span(rates, '{:.0f}')})",
                ratio=None if peer else measure.median(ratios),
                span=None if peer else ratios,
                at_least=None if peer else AIM,
            )


def run(out, options):
    with contextlib.ExitStack() as stack:
        issuer = Issuer()
        stack.callback(issuer.close)
        plain = Front("patch")
        stack.callback(plain.stop)
        asked = Front("patch", **issuer.settings())
        stack.callback(asked.stop)
        sides = {"none": Side(plain, None)}
        sides |= {alg: Side(asked, issuer.token("alice", alg)) for alg in ALGS}
        for side in sides.values():
            for what in WHAT:
                side.one(options.load, what, 1)
        data = []
        for _ in range(options.rounds):
            result = {name: {} for name in sides}
            for what in WHAT:
                order = list(sides)
                random.shuffle(order)
                for name in order:
                    result[name][what] = sides[name].one(options.load, what, SECONDS)
            data.append(result)
        counts = issuer.counts()
        assert counts["/jwks"] <= 2, f"the keys were fetched {counts['/jwks']} times"
    out.raw["g"] = data
    report(out, data)
