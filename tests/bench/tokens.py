# SPDX-License-Identifier: Apache-2.0
"""g: requests with a JWT beside the same ones where nobody is asked for a token."""

import contextlib
import random

import measure
from front import METADATA, Front, http

from lib.oidc import Issuer, auth

CONNECTIONS = 16
SLICES = 4  # of each round, in shuffled order: what else the machine does then meets all of them
SLICE_S = 1
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

    def one(self, load, what):
        """(requests, seconds, processor seconds of nginx and the responder)"""
        port = self.front.port
        pids = self.front.responder_pids() + self.front.nginx_pids()
        cpu = measure.cpu(pids)
        if what == "head":
            r = load.heads(port, self.path, CONNECTIONS, SLICE_S, self.token)
        else:
            r = load.uploads(port, METADATA, CONNECTIONS, SLICE_S, token=self.token)
        return r["uploads"], r["seconds"], measure.cpu(pids) - cpu


def one_round(sides, load, what):
    """{name of a side: its figures}"""
    slices = {name: [] for name in sides}
    for _ in range(SLICES):
        for name in random.sample(list(sides), len(sides)):
            slices[name].append(sides[name].one(load, what))
    sums = {name: [sum(x) for x in zip(*found)] for name, found in slices.items()}
    return {
        name: {"rate": n / seconds, "cpu_us": cpu / n * 1e6}
        for name, (n, seconds, cpu) in sums.items()
    }


def report(out, data):
    for what, words in WHAT.items():
        for name in data[0][what]:
            rates, cpu = ([r[what][name][x] for r in data] for x in ("rate", "cpu_us"))
            ratios = [r[what][name]["rate"] / r[what]["none"]["rate"] for r in data]
            peer = name == "none"
            out.line(
                "g",
                f"{words}, {'no token' if peer else 'token ' + name}",
                f"{measure.median(rates):.0f} /s ({measure.span(rates, '{:.0f}')}), "
                f"CPU {measure.median(cpu):.0f} us each",
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
        asked = Front("patch", beside=plain, **issuer.settings())
        stack.callback(asked.stop)
        sides = {"none": Side(plain, None)}
        sides |= {alg: Side(asked, issuer.token("alice", alg)) for alg in ALGS}
        for side in sides.values():
            for what in WHAT:
                side.one(options.load, what)
        data = [
            {what: one_round(sides, options.load, what) for what in WHAT}
            for _ in range(options.rounds)
        ]
        counts = issuer.counts()
        assert counts["/jwks"] <= 2, f"the keys were fetched {counts['/jwks']} times"
    out.raw["g"] = data
    report(out, data)
