# SPDX-License-Identifier: Apache-2.0
"""A strict reader of the Prometheus text format 0.0.4."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile("(" + NAME + r")(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')


class Metrics:
    def __init__(self, text):
        assert text.endswith("\n"), "the last line has no end"
        self.types = {}
        self.samples = {}  # (name, ((label, value), ...)) -> float
        helped, families_done, family = set(), set(), None
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                assert kind in ("HELP", "TYPE"), line
                if name != family:
                    assert name not in families_done, f"{name} stands in two places"
                    families_done.add(name)
                    family = name
                if kind == "HELP":
                    assert name not in helped, line
                    helped.add(name)
                else:
                    assert rest in ("counter", "gauge", "histogram", "summary", "untyped"), line
                    self.types[name] = rest
                continue
            m = SAMPLE.match(line)
            assert m, f"not a sample: {line!r}"
            name, labels, value = m.groups()
            base = re.sub(r"_(bucket|sum|count)\Z", "", name)
            assert family in (name, base), f"{name} outside its family {family}"
            pairs = self._labels(labels or "", line)
            assert (name, pairs) not in self.samples, f"twice: {line}"
            self.samples[(name, pairs)] = float(value)
        for name, kind in self.types.items():
            assert name in helped, f"{name} has no HELP"
            if kind == "histogram":
                self._check_histogram(name)

    @staticmethod
    def _labels(text, line):
        pairs, at = [], 0
        while at < len(text):
            m = LABEL.match(text, at)
            assert m, f"bad labels: {line!r}"
            pairs.append((m[1], m[2]))
            at = m.end()
        assert len({k for k, _ in pairs}) == len(pairs), line
        return tuple(sorted(pairs))

    def _check_histogram(self, name):
        series = {}
        for (n, pairs), value in self.samples.items():
            if n == name + "_bucket":
                le = dict(pairs)["le"]
                rest = tuple(p for p in pairs if p[0] != "le")
                series.setdefault(rest, []).append((float(le.replace("+Inf", "inf")), value))
        for rest, buckets in series.items():
            buckets.sort()
            counts = [c for _, c in buckets]
            assert counts == sorted(counts), f"{name}{rest} is not cumulative"
            assert buckets[-1][0] == float("inf"), f"{name}{rest} has no +Inf"
            assert self.samples[(name + "_count", rest)] == counts[-1], f"{name}{rest} count"
            assert (name + "_sum", rest) in self.samples, f"{name}{rest} sum"

    def get(self, name, **labels):
        """Sum of the samples that have these labels."""
        wanted = set(labels.items())
        found = [v for (n, p), v in self.samples.items() if n == name and wanted <= set(p)]
        return sum(found)

    def has(self, name):
        return name in self.types
