# SPDX-License-Identifier: Apache-2.0
"""f: uploads of 10 KiB with the state in Redis, by 1, 2 and 3 groups of responders that stand for
hosts, beside SQLite; and how often a request asks Redis."""

import contextlib
import random

import measure
from front import METADATA, Front
from lib.redis import Watch
from lib.tus import Tus
from small import SECONDS, one

GROUPS = (1, 2, 3)
BASE = "SQLite"
SAMPLES = 50
AIM = 2


def counted(redis, action):
    """Commands for each of ${SAMPLES} calls of ${action}."""
    watch = Watch(redis)
    for n in range(SAMPLES):
        action(n)
    words = watch.seen()
    return len(words) / SAMPLES, {w: words.count(w) / SAMPLES for w in sorted(set(words))}


def round_trips(front):
    tus = Tus(front.addr)
    data = b"x" * 10240
    paths = []
    kinds = {"POST": lambda n: paths.append(tus.new(2 * len(data)))}
    kinds["PATCH in the middle"] = lambda n: tus.patch(paths[n], 0, data)
    kinds["PATCH that completes"] = lambda n: tus.patch(paths[n], len(data), data)
    kinds["HEAD of a finished one"] = lambda n: tus.head(paths[n])
    return {name: counted(front.redis, action) for name, action in kinds.items()}


def run(out, options):
    with contextlib.ExitStack() as stack:
        fronts = {BASE: Front("patch")}
        stack.callback(fronts[BASE].stop)
        for groups in GROUPS:
            name = f"Redis, {groups} group" + ("s" if groups > 1 else "")
            fronts[name] = Front("patch", state="redis", groups=groups)
            stack.callback(fronts[name].stop)
        sides = {
            name: (front.port, front.responder_pids(), front.nginx_pids())
            for name, front in fronts.items()
        }
        for side in sides.values():
            one(options.load, *side, 1)
        data = []
        for _ in range(options.rounds):
            order = list(sides)
            random.shuffle(order)
            data.append({name: one(options.load, *sides[name], SECONDS) for name in order})
        trips = round_trips(next(f for n, f in fronts.items() if n != BASE))
    out.raw["f"] = {"rates": data, "trips": trips}
    for name in sides:
        rates = [r[name]["rate"] for r in data]
        ratios = [r[name]["rate"] / r[BASE]["rate"] for r in data]
        app = measure.median([r[name]["app_cpu_ms"] for r in data])
        out.line(
            "f",
            f"10 KiB uploads, {name}",
            f"{measure.median(rates):.0f} /s ({measure.span(rates, '{:.0f}')}); app {app:.2f} ms",
            ratio=None if name == BASE else measure.median(ratios),
            span=None if name == BASE else ratios,
        )
    for name, (n, words) in trips.items():
        told = ", ".join(f"{w.lower()} {c:g}" for w, c in words.items())
        aim = AIM if name.startswith("PATCH") else None
        out.line("f", f"  round trips, {name}", told, value=n, at_most=aim, aim_unit="each")
